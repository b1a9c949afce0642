#include "egress/repeat.hpp"

#include <algorithm>
#include <charconv>

#include <curl/curl.h>

namespace patchbay::egress {
namespace {

constexpr std::chrono::milliseconds kFirstBackOff{200};
constexpr std::chrono::milliseconds kLongestBackOff{10'000};

}  // namespace

bool is_repeatable(const HttpRequest& request) {
  if (request.repeatable) return true;
  const auto& method = request.method;
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" || method == "OPTIONS";
}

bool is_passing(int status) { return status == 502 || status == 503 || status == 504; }

std::optional<std::chrono::milliseconds> retry_after(std::string_view value, Timestamp now) {
  if (value.empty()) return std::nullopt;
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (end == value.data() + value.size()) {
    if (error != std::errc{} || seconds < 0) return std::nullopt;
    return std::chrono::seconds{std::min<std::int64_t>(seconds, 1'000'000'000)};
  }
  const auto date = curl_getdate(std::string(value).c_str(), nullptr);
  if (date < 0) return std::nullopt;
  const auto wait = Timestamp{std::chrono::seconds{date}} - now;
  return std::max(std::chrono::milliseconds{0}, std::chrono::ceil<std::chrono::milliseconds>(wait));
}

std::chrono::milliseconds back_off(int attempt, std::uint32_t dice) {
  const int doublings = std::clamp(attempt - 1, 0, 10);
  const auto most = std::min(kFirstBackOff * (1 << doublings), kLongestBackOff);
  return std::chrono::milliseconds{static_cast<std::int64_t>(dice) * most.count() / 0xffff'ffffLL};
}

}  // namespace patchbay::egress
