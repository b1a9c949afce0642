#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/time.hpp"
#include "egress/http_client.hpp"

namespace patchbay::egress {

// What providers allow, as their answers say it: so many requests are left until then. Learned for each provider, connection
// and bucket; the bucket is the provider's own word for what it counts together, or the route.
//
// Read: X-RateLimit-Limit, -Remaining, -Reset (GitHub: seconds of the epoch; Discord), -Reset-After and -Bucket (Discord),
// -Resource (GitHub), -Global and -Scope (Discord); RateLimit-Limit, -Remaining, -Reset (Twitch: epoch; the IETF draft:
// seconds from now); Retry-After with 429, 503 and GitHub's 403. Sources: docs.github.com, "Rate limits for the REST API";
// discord.com/developers, "Rate Limits"; dev.twitch.tv, "Twitch API Concepts"; developer.spotify.com, "Rate Limits".
// Not for threads.
class RateBudgets {
 public:
  // Until when the request has to wait; none: it may go, and is counted.
  [[nodiscard]] std::optional<Timestamp> take(const HttpRequest& request, Timestamp now);
  void learn(const HttpRequest& request, const HttpReply& reply, Timestamp now);

  [[nodiscard]] std::size_t size() const { return budgets_.size(); }

 private:
  struct Budget {
    std::int64_t limit = 0;  // of a whole window; 0: not known
    std::int64_t remaining = 0;
    Timestamp reset;
    Duration window{0};   // as long as the last one was known to be; 0: not known
    Timestamp next_slot;  // when the next one that has to wait may go
    // Each of those that wait has a time of its own, as they come: all of them at once would be refused again.
    [[nodiscard]] Timestamp slot();
    [[nodiscard]] bool is_spent(Timestamp now) const { return remaining <= 0 && now < reset; }
  };
  using Name = std::string;

  void set(const Name& name, std::int64_t limit, std::int64_t remaining, Timestamp reset, Timestamp now);
  void forget_old(Timestamp now);

  std::unordered_map<Name, Budget> budgets_;
  std::unordered_map<Name, Name> bucket_of_;  // route -> budget
};

// "GET /repos/:/:/issues": the method and the path, without what names one thing of many after the first, which is the one
// that providers count by (Discord's "major parameter").
[[nodiscard]] std::string route_of(std::string_view method, std::string_view url);

}  // namespace patchbay::egress
