#include "engine/breaker.hpp"

#include <algorithm>

#include "core/log.hpp"

namespace patchbay::engine {

std::optional<Timestamp> Breaker::wait_until(const Key& key, bool is_retry, Timestamp now) {
  auto& state = states_[key];
  if (state.until) {
    if (now < *state.until) return state.until;
    if (state.trying) return now + state.wait;  // one is on its way to find out
    state.trying = true;
    return std::nullopt;
  }
  const auto seconds = std::chrono::duration<double>(now - state.counted.value_or(now)).count();
  state.counted = now;
  state.tokens = std::min(state.tokens + std::max(seconds, 0.0) * kEachSecond + (is_retry ? 0 : kEarned), kMostTokens);
  if (!is_retry) return std::nullopt;
  if (state.tokens < 1) return now + kRetryWait;
  state.tokens -= 1;
  return std::nullopt;
}

void Breaker::succeeded(const Key& key) {
  auto& state = states_[key];
  if (state.until) log::info("engine", "{} answers again", key.first);
  state.failures = 0;
  state.until.reset();
  state.wait = kFirstWait;
  state.trying = false;
  state.tokens = std::min(state.tokens + 1, kMostTokens);
}

void Breaker::failed(const Key& key, bool transient, Timestamp now) {
  if (!transient) return succeeded(key);
  auto& state = states_[key];
  if (state.until && !state.trying) return;  // begun before it was opened
  ++state.failures;
  if (!state.trying && state.failures < kFailures) return;
  if (state.trying) state.wait = std::min<Duration>(state.wait * 2, kLongestWait);
  state.trying = false;
  state.until = now + state.wait;
  log::warn("engine", "{} has not answered {} times in a row: it is left alone for {} s", key.first, state.failures,
            std::chrono::duration_cast<std::chrono::seconds>(state.wait).count());
}

std::optional<Timestamp> Breaker::open_until(const Key& key, Timestamp now) const {
  const auto found = states_.find(key);
  if (found == states_.end() || !found->second.until || *found->second.until <= now) return std::nullopt;
  return found->second.until;
}

}  // namespace patchbay::engine
