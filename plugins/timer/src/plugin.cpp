#include <patchbay/provider.hpp>

#include <algorithm>

#include "rfc3339.hpp"

namespace {

using patchbay::call;
using patchbay::operation;
using patchbay::result;
using namespace patchbay::timer;

constexpr std::int64_t kShortestMs = 1000;
constexpr std::int64_t kLongestMs = 366 * 86'400'000LL;
constexpr std::int64_t kLookAgainMs = 86'400'000;  // a far time is looked at once a day: clocks are set, machines sleep
constexpr std::int64_t kNeverMs = 365 * kLookAgainMs;
constexpr std::int64_t kEventsPerPoll = 100;  // with "all"; the rest follows at once
constexpr std::int64_t kLateMs = 60'000;      // with "skip": what is later than this is missed

std::int64_t number_in(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// Seconds may have a fraction; 0: neither of the two is there, or it makes no sense.
std::int64_t interval_of(const call& c) {
  if (const auto text = c.look(c.params(), "/interval"); !text.empty()) return parse_interval(text).value_or(0);
  const auto text = c.look(c.params(), "/interval_s");
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc{} || !(seconds > 0 && seconds < 1e9)) return 0;
  return static_cast<std::int64_t>(seconds * 1000);
}

// The key is the tick's own time, so a tick is one event however often a poll is repeated.
void emit(const call& c, std::int64_t scheduled_ms, std::int64_t missed) {
  const auto scheduled = to_rfc3339(scheduled_ms);
  c.emit(scheduled,
         c.object()
             .add("time", to_rfc3339(c.now_ms()))
             .add("scheduled", scheduled)
             .raw("missed", std::to_string(missed))
             .text(),
         scheduled_ms);
}

std::int64_t until(const call& c, std::int64_t ms) {
  return std::clamp<std::int64_t>(ms - c.now_ms(), 1, kLookAgainMs);
}

struct Timer {
  operation poll(call c) {
    if (c.name() == "at") co_return at(c);
    co_return every(c);
  }

 private:
  // State: {"next": ms, "interval": ms, "start": "…"}; the last two to see whether the parameters have changed since.
  static result every(const call& c) {
    const auto interval = interval_of(c);
    if (interval < kShortestMs || interval > kLongestMs) {
      return c.fail(PBAY_E_ARG, "interval is a time from 1s to 366d, such as 5m, or interval_s a number of seconds");
    }
    const auto start_text = c.param("/start");
    const auto start = parse_rfc3339(start_text);
    if (!start && !start_text.empty()) return c.fail(PBAY_E_ARG, "start is a time such as 2026-11-21T09:00:00Z");

    auto next = number_in(c.look(c.state(), "/next"));
    const bool same =
        number_in(c.look(c.state(), "/interval")) == interval && c.look(c.state(), "/start") == start_text;
    if (next == 0 || !same) {
      next = first_tick(c.now_ms(), interval, start);
      return keep(c, next, interval, start_text);
    }
    if (c.now_ms() < next) return c.ok().next_in(until(c, next));
    return keep(c, emit_due(c, next, interval), interval, start_text);
  }

  static std::int64_t first_tick(std::int64_t now, std::int64_t interval, std::optional<std::int64_t> start) {
    if (!start) return now + interval;
    if (*start > now) return *start;
    return *start + ((now - *start) / interval + 1) * interval;
  }

  // Emits what is due from next on; returns the tick that is next then.
  static std::int64_t emit_due(const call& c, std::int64_t next, std::int64_t interval) {
    const auto due = (c.now_ms() - next) / interval + 1;
    const auto missed = c.look(c.params(), "/missed");
    if (missed == "all") {
      const auto count = std::min(due, kEventsPerPoll);
      for (std::int64_t i = 0; i < count; ++i) emit(c, next + i * interval, 0);
      return next + count * interval;
    }
    const auto last = next + (due - 1) * interval;
    const bool late = c.now_ms() - last > std::min(interval, kLateMs);
    if (missed != "skip") {
      emit(c, last, due - 1);
    } else if (!late) {
      emit(c, last, 0);
    }
    return last + interval;
  }

  static result keep(const call& c, std::int64_t next, std::int64_t interval, std::string_view start) {
    auto state = c.object()
                     .raw("next", std::to_string(next))
                     .raw("interval", std::to_string(interval))
                     .add("start", start)
                     .text();
    return c.ok().state(std::move(state)).next_in(until(c, next));
  }

  // State: {"at": ms, "done": bool}
  static result at(const call& c) {
    const auto time = parse_rfc3339(c.look(c.params(), "/time"));
    if (!time) return c.fail(PBAY_E_ARG, "time is a time such as 2026-11-21T09:00:00Z");
    const bool known = number_in(c.look(c.state(), "/at")) == *time;
    if (known && c.look(c.state(), "/done") == "true") return c.ok().next_in(kNeverMs);
    if (!known && *time <= c.now_ms()) return c.fail(PBAY_E_ARG, "the time " + c.param("/time") + " has passed");
    const bool due = *time <= c.now_ms();
    if (due) emit(c, *time, 0);
    auto state = c.object().raw("at", std::to_string(*time)).raw("done", due ? "true" : "false").text();
    auto end = c.ok().state(std::move(state)).next_in(due ? kNeverMs : until(c, *time));
    return end;
  }
};

static constexpr char manifest[] PBAY_IN_MANIFEST =
#include "manifest.inc"
    ;

}  // namespace

PATCHBAY_PROVIDER(Timer)
