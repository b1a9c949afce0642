#pragma once

#include <string>

#include "core/error.hpp"
#include "core/id.hpp"
#include "core/time.hpp"
#include "store/database.hpp"

namespace patchbay::engine {

struct ReplayWish {
  UserId user;
  RunId run;
  std::string from = {};  // node: what stands before it keeps its results; empty: from the start
  bool current = false;   // with the flow's present version instead of the run's own
};

// Writes a new run for the event of one that has ended, pending, for Intake to find; what it sends has new idempotency
// keys. The dead letters of the old one are taken back: somebody has taken care of them. Any thread, blocking.
// Errc::not_found: no such run of that user, or its event or flow is gone; conflict: the run is still under way; invalid:
// the flow has no such node.
[[nodiscard]] Result<RunId> insert_replay(store::Database& database, const ReplayWish& wish, Timestamp now);

}  // namespace patchbay::engine
