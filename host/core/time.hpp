#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace patchbay {

// Wall-clock time. Stored as BIGINT microseconds since 1970, shown as RFC 3339 in UTC.
using Timestamp = std::chrono::sys_time<std::chrono::microseconds>;
using Duration = std::chrono::microseconds;

// Always passed in, so that tests own the time. Any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Timestamp now() const = 0;
};

// The machine's clock.
const Clock& system_clock();

// A clock that stands still until it is moved. Any thread.
class ManualClock : public Clock {
 public:
  explicit ManualClock(Timestamp start = Timestamp{std::chrono::seconds{1'700'000'000}});
  [[nodiscard]] Timestamp now() const override;
  void advance(Duration by);

 private:
  std::atomic<std::int64_t> micros_;
};

[[nodiscard]] inline std::int64_t micros(Timestamp t) { return t.time_since_epoch().count(); }
[[nodiscard]] inline std::int64_t millis(Timestamp t) { return t.time_since_epoch().count() / 1000; }
[[nodiscard]] inline Timestamp from_micros(std::int64_t n) { return Timestamp{Duration{n}}; }
[[nodiscard]] inline Timestamp from_millis(std::int64_t n) { return Timestamp{std::chrono::milliseconds{n}}; }

// "2026-11-21T05:02:09.123456Z" (RFC 3339).
[[nodiscard]] std::string to_rfc3339(Timestamp t);
// Accepts any RFC 3339 time with offset; more than six digits of fraction are cut off.
[[nodiscard]] std::optional<Timestamp> parse_rfc3339(std::string_view text);

// "250ms", "30s", "5m", "1h", "2d"; nullopt when it is none of these.
[[nodiscard]] std::optional<Duration> parse_duration(std::string_view text);

}  // namespace patchbay
