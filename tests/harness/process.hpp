#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace patchbay::harness {

struct Command {
  std::string program;
  std::vector<std::string> arguments;
  std::vector<std::string> environment = {};  // "NAME=value", added to ours
  std::string log_file = {};  // gets its stderr, and its stdout unless read; empty: both are thrown away
  bool read_output = false;   // stdout goes to read_line()
};

// A child process, killed and reaped when this goes; the kernel kills it when our thread that started it dies. One
// thread.
class Process {
 public:
  // Throws std::system_error when it cannot be started.
  explicit Process(const Command& command);
  ~Process();
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool running();

  // The next line of its stdout, without the line end; nullopt at its end or after limit.
  [[nodiscard]] std::optional<std::string> read_line(std::chrono::milliseconds limit);
  // All the rest of its stdout.
  [[nodiscard]] std::string read_rest(std::chrono::milliseconds limit);

  // Its exit code (128 + n after signal n); nullopt when it still runs after limit.
  std::optional<int> wait(std::chrono::milliseconds limit);
  void kill();  // SIGKILL, and waits
  // SIGTERM, then SIGKILL after limit. The exit code.
  int stop(std::chrono::milliseconds limit = std::chrono::seconds(10));

  // User and system time of the process, its reaped children and its living descendants.
  [[nodiscard]] double cpu_seconds() const;
  // Resident memory of the process and its living descendants.
  [[nodiscard]] double resident_mb() const;

 private:
  pid_t pid_ = -1;
  int output_ = -1;
  int exit_code_ = -1;
  std::string pending_;  // read, but not yet given as a line
};

// Runs to its end. Throws when it cannot be started or takes longer than limit.
struct Finished {
  int exit_code = 0;
  std::string output;
};
Finished run(Command command, std::chrono::milliseconds limit = std::chrono::seconds(30));

}  // namespace patchbay::harness
