#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <unordered_map>

#include "core/id.hpp"
#include "core/time.hpp"

namespace patchbay::engine {

// Leaves a provider alone that does not answer: after kFailures in a row, of one provider and connection, its reactions
// wait; then one is let through to try, and the rest follow when that one succeeds. Each try that fails doubles the wait.
// A retry costs a token. First attempts earn a part of one, successes a whole one, and a few come by themselves: where all is
// well retries go through, and where it is not they are a small part of what is sent.
// On the loop's thread only.
class Breaker {
 public:
  using Key = std::pair<std::string, ConnectionId>;

  // Until when this reaction has to wait; none: it may begin, and succeeded() or failed() is called when it has ended.
  [[nodiscard]] std::optional<Timestamp> wait_until(const Key& key, bool is_retry, Timestamp now);
  void succeeded(const Key& key);
  // transient: the provider did not answer, or not now; an answer of another kind shows that it is well.
  void failed(const Key& key, bool transient, Timestamp now);
  // Until when it is left alone; none: it is not.
  [[nodiscard]] std::optional<Timestamp> open_until(const Key& key, Timestamp now) const;

 private:
  static constexpr int kFailures = 10;
  static constexpr std::chrono::seconds kFirstWait{5};
  static constexpr std::chrono::seconds kLongestWait{300};
  static constexpr double kEarned = 0.25;    // tokens a first attempt earns
  static constexpr double kEachSecond = 10;  // that come by themselves
  static constexpr double kMostTokens = 50;  // and what there is at the start
  static constexpr std::chrono::seconds kRetryWait{1};

  struct State {
    int failures = 0;
    std::optional<Timestamp> until;
    Duration wait = kFirstWait;
    bool trying = false;
    double tokens = kMostTokens;
    std::optional<Timestamp> counted;  // up to when tokens have come by themselves
  };
  struct Hash {
    std::size_t operator()(const Key& key) const { return std::hash<std::string>{}(key.first) ^ std::hash<ConnectionId>{}(key.second); }
  };
  std::unordered_map<Key, State, Hash> states_;
};

}  // namespace patchbay::engine
