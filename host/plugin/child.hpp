#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "core/error.hpp"

namespace patchbay::plugin {

// How a helper process ended.
struct ChildEnd {
  bool late = false;   // it was killed when its time was up
  int signal = 0;      // it was killed by this signal
  int exit_code = 0;   // otherwise
  std::string output;  // its standard output, at most 4 MiB
  std::string errors;  // the end of its standard error
};

// Runs words[0] with the other words and waits for it, at most for limit; then kills it. Nothing of the host's goes along
// but the environment. Any thread. Errc::unavailable: it cannot be started.
[[nodiscard]] Result<ChildEnd> run_child(std::vector<std::string> words, std::chrono::milliseconds limit);

// The last line that is not empty.
[[nodiscard]] std::string last_line(std::string text);

}  // namespace patchbay::plugin
