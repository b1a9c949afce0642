#include "plugin/probe.hpp"

#include <array>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

extern char** environ;

namespace patchbay::plugin {
namespace {

// Reads what comes until the other end is closed or the time is up; false: it is up.
bool read_until_closed(int descriptor, std::chrono::steady_clock::time_point deadline, std::string& text) {
  std::array<char, 4096> buffer{};
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd waiting{descriptor, POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(left.count())) == 0) return false;
    const auto count = ::read(descriptor, buffer.data(), buffer.size());
    if (count <= 0) return true;
    text.append(buffer.data(), static_cast<std::size_t>(count));
    if (text.size() > 64 << 10) text.erase(0, text.size() - (32 << 10));
  }
}

// False: the time is up.
bool wait_until_ended(pid_t child, std::chrono::steady_clock::time_point deadline, int& status) {
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  return true;
}

std::string last_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  const auto start = text.rfind('\n');
  return start == std::string::npos ? text : text.substr(start + 1);
}

}  // namespace

Result<> probe_in_child(const std::string& program, const std::string& file, std::chrono::milliseconds limit) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return fail(Errc::unavailable, "no pipe for the probe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, pipe[1], STDERR_FILENO);
  std::array<std::string, 4> words{program, "plugin", "probe", file};
  std::array<char*, 5> arguments{words[0].data(), words[1].data(), words[2].data(), words[3].data(), nullptr};
  pid_t child = 0;
  const int failed = ::posix_spawn(&child, program.c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(pipe[1]);
  if (failed != 0) {
    ::close(pipe[0]);
    return fail(Errc::unavailable, fmt::format("the probe {} cannot be started: {}", program, std::strerror(failed)));
  }
  std::string text;
  const auto deadline = std::chrono::steady_clock::now() + limit;
  int status = 0;
  // Who has closed its end of the pipe need not have ended.
  const bool ended = read_until_closed(pipe[0], deadline, text) && wait_until_ended(child, deadline, status);
  ::close(pipe[0]);
  if (!ended) {
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
  }
  if (!ended) return fail(Errc::timeout, fmt::format("the probe did not end within {} ms", limit.count()));
  if (WIFSIGNALED(status)) {
    return fail(Errc::invalid, fmt::format("the probe was killed by: {}", ::strsignal(WTERMSIG(status))));
  }
  if (WEXITSTATUS(status) != 0) {
    const auto line = last_line(std::move(text));
    // What the program says of the file begins with its own name and the file's.
    const auto known = line.find(file + ": ");
    return fail(Errc::invalid, known == std::string::npos ? line : line.substr(known + file.size() + 2));
  }
  return {};
}

Prober probe_with_this_program() {
  return [](const std::string& file) { return probe_in_child("/proc/self/exe", file); };
}

}  // namespace patchbay::plugin
