#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace patchbay::app {

// What a service manager (systemd) wants to hear, by the protocol of sd_notify(3): lines to the datagram socket that
// $NOTIFY_SOCKET names. Without one nothing happens. Any thread.
void notify_service_manager(std::string_view lines);  // "READY=1", "STOPPING=1", "STATUS=…"

// How often it wants to hear "WATCHDOG=1" (half of $WATCHDOG_USEC); none: never.
[[nodiscard]] std::optional<std::chrono::milliseconds> watchdog_interval();

}  // namespace patchbay::app
