#include "plugin/child.hpp"

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

using Deadline = std::chrono::steady_clock::time_point;

constexpr std::size_t kMostOutput = 4 << 20;
constexpr std::size_t kMostErrors = 64 << 10;

class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) ends_ = {-1, -1};
  }
  ~Pipe() {
    close_write();
    close_read();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  [[nodiscard]] bool open() const { return ends_[0] >= 0; }
  [[nodiscard]] int read_end() const { return ends_[0]; }
  [[nodiscard]] int write_end() const { return ends_[1]; }
  void close_read() { close(0); }
  void close_write() { close(1); }

 private:
  void close(std::size_t end) {
    if (ends_[end] >= 0) ::close(ends_[end]);
    ends_[end] = -1;
  }
  std::array<int, 2> ends_{-1, -1};
};

int milliseconds_until(Deadline deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
}

// False: this end is done.
bool take(int descriptor, std::string& text) {
  std::array<char, 16384> buffer{};
  const auto count = ::read(descriptor, buffer.data(), buffer.size());
  if (count <= 0) return false;
  text.append(buffer.data(), static_cast<std::size_t>(count));
  return true;
}

// Reads both until their other ends are closed; false: the time is up.
bool read_until_closed(Pipe& output, Pipe& errors, Deadline deadline, ChildEnd& end) {
  while (output.open() || errors.open()) {
    std::array<pollfd, 2> waiting{pollfd{output.read_end(), POLLIN, 0}, pollfd{errors.read_end(), POLLIN, 0}};
    const int left = milliseconds_until(deadline);
    if (left == 0) return false;
    if (::poll(waiting.data(), waiting.size(), left) == 0) return false;
    if (waiting[0].revents != 0 && !take(output.read_end(), end.output)) output.close_read();
    if (waiting[1].revents != 0 && !take(errors.read_end(), end.errors)) errors.close_read();
    if (end.output.size() > kMostOutput) return false;
    if (end.errors.size() > kMostErrors) end.errors.erase(0, end.errors.size() - kMostErrors / 2);
  }
  return true;
}

// False: the time is up. Who has closed its ends of the pipes need not have ended.
bool wait_until_ended(pid_t child, Deadline deadline, int& status) {
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  return true;
}

}  // namespace

std::string last_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  const auto start = text.rfind('\n');
  return start == std::string::npos ? text : text.substr(start + 1);
}

Result<ChildEnd> run_child(std::vector<std::string> words, std::chrono::milliseconds limit) {
  Pipe output;
  Pipe errors;
  if (!output.open() || !errors.open()) return fail(Errc::unavailable, "no pipe for a helper process");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output.write_end(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors.write_end(), STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  const int failed = ::posix_spawn(&child, arguments.front(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  output.close_write();
  errors.close_write();
  if (failed != 0) {
    return fail(Errc::unavailable, fmt::format("{} cannot be started: {}", words.front(), std::strerror(failed)));
  }
  ChildEnd end;
  int status = 0;
  const auto deadline = std::chrono::steady_clock::now() + limit;
  end.late = !read_until_closed(output, errors, deadline, end) || !wait_until_ended(child, deadline, status);
  if (end.late) {
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
  }
  if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
  if (WIFEXITED(status)) end.exit_code = WEXITSTATUS(status);
  return end;
}

}  // namespace patchbay::plugin
