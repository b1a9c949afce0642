#pragma once

#include <cstdint>
#include <string>

#include "core/error.hpp"
#include "core/id.hpp"
#include "core/time.hpp"
#include "store/database.hpp"

namespace patchbay::engine {

// Which runs may go: those that have ended, oldest first. All conditions hold together.
struct PurgeWish {
  std::string before = {};      // id: only what was made before it (ids of the time: purge_boundary); empty: all
  std::string flow = {};        // empty: of all
  std::string user = {};        // likewise
  std::string after = {};       // id: where a purge before this one came to
  int runs = 64;                // at most
};

struct Purged {
  int runs = 0;
  int deliveries = 0;
  std::string last;  // id of the last run that was looked at; empty: there was none, everything is done
};

// Removes runs with their steps, dead letters, events and deliveries, and the deliveries that brought nothing of that time
// and before. In a transaction. An event that a replay still needs stays.
[[nodiscard]] Result<Purged> purge(store::Transaction& transaction, const PurgeWish& wish);

// What was made before that time has a smaller id.
[[nodiscard]] std::string purge_boundary(Timestamp time);

}  // namespace patchbay::engine
