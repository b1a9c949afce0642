#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "core/error.hpp"

namespace patchbay::plugin {

// Tries a file before the host loads it.
using Prober = std::function<Result<>(const std::string& file)>;

// Runs `program plugin probe FILE` and waits for it: a truncated shared object kills whoever loads it, so somebody else
// has to. Error: the signal's name, "did not end within 3 s", or the last line that it wrote to standard error.
[[nodiscard]] Result<> probe_in_child(const std::string& program, const std::string& file,
                                      std::chrono::milliseconds limit = std::chrono::milliseconds{3'000});

// A Prober that runs this very program.
[[nodiscard]] Prober probe_with_this_program();

}  // namespace patchbay::plugin
