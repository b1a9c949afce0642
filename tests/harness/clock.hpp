#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace patchbay::harness {

// Nanoseconds of the machine's steady clock: generator and sink share it, so "sent until arrived" is one clock.
[[nodiscard]] inline std::uint64_t steady_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

// Asks again and again, with pauses, until condition() holds; false after limit. For other processes' state, which
// nothing tells us.
bool wait_until(const std::function<bool()>& condition, std::chrono::milliseconds limit = std::chrono::seconds(20),
                std::chrono::milliseconds pause = std::chrono::milliseconds(10));

}  // namespace patchbay::harness
