#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "core/id.hpp"
#include "core/time.hpp"
#include "store/database.hpp"

namespace patchbay::engine {

// What people do to runs and deliveries, in the store; the hosts find it there. Any thread, blocking; each is scoped to the
// owner. Errc::not_found: there is none of that user; conflict: its status does not allow it.

// What is under way at a provider ends as it will; nothing new begins.
Result<> cancel_run(store::Database& database, UserId user, RunId run, Timestamp now);

// A step that was in flight when its host stopped (status "maybe"): it was done; it is asked again; it failed.
enum class Decision { done, repeat, fail };
// The run goes on when no other step of it waits for a person.
Result<> decide_step(store::Database& database, UserId user, RunId run, std::string_view node, Decision decision, Timestamp now);

// A delivery that is dead, from its first attempt on.
Result<> retry_delivery(store::Database& database, UserId user, DeliveryId delivery, Timestamp now);

// A step that failed for good, or that nobody knows about, until somebody replays, decides or dismisses it.
struct DeadLetterRecord {
  std::string id;
  std::string kind;  // "failed" or "maybe"
  RunId run;
  FlowId flow;
  std::string node;
  std::string reason;
  Timestamp created;
};
// Newest first; before: the id of the last one of the page before, or empty.
[[nodiscard]] Result<std::vector<DeadLetterRecord>> list_dead_letters(store::Database& database, UserId user, int limit,
                                                                      std::string_view before);
Result<> dismiss_dead_letter(store::Database& database, UserId user, std::string_view id);

}  // namespace patchbay::engine
