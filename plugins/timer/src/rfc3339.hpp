#pragma once

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

namespace patchbay::timer {

// Reads a fixed number of digits at the front and takes them away; -1: there are none.
inline int take_number(std::string_view& text, std::size_t digits) {
  int value = 0;
  if (text.size() < digits) return -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
  if (error != std::errc{} || end != text.data() + digits || value < 0) return -1;
  text.remove_prefix(digits);
  return value;
}

inline bool take(std::string_view& text, char wanted) {
  const bool there = !text.empty() && (text.front() == wanted || text.front() == (wanted | 0x20));
  if (there) text.remove_prefix(1);
  return there;
}

// "2026-11-21T05:02:09Z", "…09.5+01:00" (RFC 3339) as milliseconds since 1970; finer digits are cut off.
inline std::optional<std::int64_t> parse_rfc3339(std::string_view text) {
  using namespace std::chrono;
  const int year_number = take_number(text, 4);
  if (!take(text, '-')) return std::nullopt;
  const int month_number = take_number(text, 2);
  if (!take(text, '-')) return std::nullopt;
  const int day_number = take_number(text, 2);
  if (year_number < 0 || month_number < 0 || day_number < 0) return std::nullopt;
  const year_month_day date{year{year_number}, month{static_cast<unsigned>(month_number)},
                            day{static_cast<unsigned>(day_number)}};
  if (!date.ok() || !(take(text, 'T') || take(text, ' '))) return std::nullopt;
  const int hour = take_number(text, 2);
  if (!take(text, ':')) return std::nullopt;
  const int minute = take_number(text, 2);
  if (!take(text, ':')) return std::nullopt;
  const int second = take_number(text, 2);
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) return std::nullopt;
  std::int64_t ms = 0;
  if (take(text, '.')) {
    int scale = 100;
    int digits = 0;
    for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; ++digits, scale /= 10, text.remove_prefix(1)) {
      ms += (text.front() - '0') * scale;
    }
    if (digits == 0) return std::nullopt;
  }
  std::int64_t offset_min = 0;
  if (!take(text, 'Z')) {
    if (text.empty() || (text.front() != '+' && text.front() != '-')) return std::nullopt;
    const int sign = text.front() == '-' ? -1 : 1;
    text.remove_prefix(1);
    const int offset_hour = take_number(text, 2);
    if (!take(text, ':')) return std::nullopt;
    const int offset_minute = take_number(text, 2);
    if (offset_hour < 0 || offset_hour > 23 || offset_minute < 0 || offset_minute > 59) return std::nullopt;
    offset_min = sign * (offset_hour * 60 + offset_minute);
  }
  if (!text.empty()) return std::nullopt;
  const auto days = sys_days{date}.time_since_epoch().count();
  return ((days * 24 + hour) * 60 + minute - offset_min) * 60'000 + second * 1000 + ms;
}

// "2026-11-21T05:02:09.500Z"
inline std::string to_rfc3339(std::int64_t ms) {
  using namespace std::chrono;
  const sys_time<milliseconds> time{milliseconds{ms}};
  const auto midnight = floor<days>(time);
  const year_month_day date{midnight};
  const hh_mm_ss clock{time - midnight};
  char text[40];
  const int size =
      std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
                    static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                    static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                    static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return {text, static_cast<std::size_t>(size)};
}

// "500ms", "30s", "5m", "1h", "2d" as milliseconds.
inline std::optional<std::int64_t> parse_interval(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value <= 0 || value > 1'000'000'000) return std::nullopt;
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (unit == "ms") return value;
  if (unit == "s") return value * 1000;
  if (unit == "m") return value * 60'000;
  if (unit == "h") return value * 3'600'000;
  if (unit == "d") return value * 86'400'000;
  return std::nullopt;
}

}  // namespace patchbay::timer
