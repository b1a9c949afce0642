#include "harness/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace patchbay::harness {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

[[noreturn]] void raise_errno(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// Only what is async-signal-safe: other threads of ours may have held locks at the fork.
[[noreturn]] void become(const char* program, char* const* arguments, char* const* environment, int output, int log,
                         pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  ::setpgid(0, 0);  // Ctrl-C is for us; we stop our children in order
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::execve(program, arguments, environment);
  ::_exit(127);
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (auto& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

struct Stat {
  pid_t parent = 0;
  double reaped_seconds = 0;  // user and system time of children that were waited for
  double resident_mb = 0;
};

// /proc/PID/stat, proc(5): the fields behind the name, which may itself hold spaces and brackets.
std::optional<Stat> read_stat(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  const auto name_end = line.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::array<long long, 25> field{};
  std::size_t at = name_end + 4;  // behind ") S "
  for (std::size_t i = 4; i <= 24 && at < line.size(); ++i) {
    field[i] = std::atoll(line.c_str() + at);
    at = line.find(' ', at);
    if (at == std::string::npos) break;
    ++at;
  }
  static const double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  static const double page_mb = static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20);
  return Stat{.parent = static_cast<pid_t>(field[4]),
              .reaped_seconds = static_cast<double>(field[16] + field[17]) / ticks,
              .resident_mb = static_cast<double>(field[24]) * page_mb};
}

std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const pid_t pid = std::atoi(entry.path().filename().c_str());
    if (pid <= 0) continue;
    const auto stat = read_stat(pid);
    if (stat && stat->parent == parent) children.push_back(pid);
  }
  return children;
}

// To the nanosecond, where /proc counts in ticks of 10 ms.
double own_cpu_seconds(pid_t pid) {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0) return 0;
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

template <class Measure>
double sum_of_tree(pid_t pid, const Measure& measure) {
  double sum = measure(pid);
  for (const pid_t child : children_of(pid)) sum += sum_of_tree(child, measure);
  return sum;
}

}  // namespace

Process::Process(const Command& command) {
  std::vector<std::string> arguments{command.program};
  arguments.insert(arguments.end(), command.arguments.begin(), command.arguments.end());
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  environment.insert(environment.end(), command.environment.begin(), command.environment.end());
  const auto argument_pointers = pointers(arguments);
  const auto environment_pointers = pointers(environment);

  const std::string log = command.log_file.empty() ? "/dev/null" : command.log_file;
  const int log_file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log_file < 0) raise_errno(log);
  std::array<int, 2> output{-1, -1};
  if (command.read_output && ::pipe2(output.data(), O_CLOEXEC) != 0) raise_errno("pipe");
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) {
    become(command.program.c_str(), argument_pointers.data(), environment_pointers.data(),
           command.read_output ? output[1] : log_file, log_file, parent);
  }
  ::close(log_file);
  if (output[1] >= 0) ::close(output[1]);
  output_ = output[0];
  if (pid_ < 0) raise_errno(command.program);
}

Process::~Process() {
  if (pid_ > 0) kill();
  if (output_ >= 0) ::close(output_);
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      output_(std::exchange(other.output_, -1)),
      exit_code_(other.exit_code_),
      pending_(std::move(other.pending_)) {}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(output_, other.output_);
  std::swap(exit_code_, other.exit_code_);
  std::swap(pending_, other.pending_);
  return *this;
}

bool Process::running() { return !wait(milliseconds(0)).has_value(); }

std::optional<std::string> Process::read_line(milliseconds limit) {
  const auto deadline = steady_clock::now() + limit;
  for (;;) {
    if (const auto end = pending_.find('\n'); end != std::string::npos) {
      std::string line = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      return line;
    }
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
    pollfd ready{.fd = output_, .events = POLLIN, .revents = 0};
    if (left.count() < 0 || ::poll(&ready, 1, static_cast<int>(left.count())) <= 0) return std::nullopt;
    std::array<char, 4096> buffer{};
    const auto count = ::read(output_, buffer.data(), buffer.size());
    if (count <= 0) return std::nullopt;
    pending_.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

std::string Process::read_rest(milliseconds limit) {
  const auto deadline = steady_clock::now() + limit;
  std::string text;
  for (;;) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
    auto line = read_line(left);
    if (!line) break;
    text += *line + '\n';
  }
  return text + std::exchange(pending_, {});
}

std::optional<int> Process::wait(milliseconds limit) {
  if (pid_ < 0) return exit_code_;
  const auto deadline = steady_clock::now() + limit;
  for (;;) {
    int status = 0;
    const pid_t done = ::waitpid(pid_, &status, WNOHANG);
    if (done == pid_) {
      exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
      pid_ = -1;
      return exit_code_;
    }
    if (steady_clock::now() >= deadline) return std::nullopt;
    ::usleep(1000);
  }
}

void Process::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  wait(std::chrono::hours(1));
}

int Process::stop(milliseconds limit) {
  if (pid_ > 0) ::kill(pid_, SIGTERM);
  if (!wait(limit)) kill();
  return exit_code_;
}

double Process::cpu_seconds() const {
  return sum_of_tree(pid_, [](pid_t pid) {
    const auto stat = read_stat(pid);
    return own_cpu_seconds(pid) + (stat ? stat->reaped_seconds : 0);
  });
}

double Process::resident_mb() const {
  return sum_of_tree(pid_, [](pid_t pid) {
    const auto stat = read_stat(pid);
    return stat ? stat->resident_mb : 0;
  });
}

Finished run(Command command, milliseconds limit) {
  command.read_output = true;
  const auto deadline = steady_clock::now() + limit;
  Process process(command);
  Finished finished;
  finished.output = process.read_rest(limit);
  const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
  const auto code = process.wait(std::max(left, milliseconds(1)));
  if (!code) throw std::runtime_error(command.program + " did not end in time");
  finished.exit_code = *code;
  return finished;
}

}  // namespace patchbay::harness
