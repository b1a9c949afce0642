#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "core/time.hpp"
#include "egress/http_client.hpp"

namespace patchbay::egress {

// When and after how long a request is sent again.

// May it be sent twice? The idempotent methods of RFC 9110 (9.2.2), and what its maker says.
[[nodiscard]] bool is_repeatable(const HttpRequest& request);

// 502, 503, 504: somebody on the way could not do it now.
[[nodiscard]] bool is_passing(int status);

// Retry-After in seconds or as a date (RFC 9110, 10.2.3); nullopt when there is none that can be read.
[[nodiscard]] std::optional<std::chrono::milliseconds> retry_after(std::string_view value, Timestamp now);

// Full jitter: anything between 0 and 200 ms · 2^(attempt-1), at most 10 s. attempt counts from 1; dice is uniform.
[[nodiscard]] std::chrono::milliseconds back_off(int attempt, std::uint32_t dice);

}  // namespace patchbay::egress
