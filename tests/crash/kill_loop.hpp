#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "harness/message_rig.hpp"

namespace patchbay::crash {

enum class Strike { host, server, connections, any };

struct Plan {
  int rounds = 10;
  std::uint64_t seed = 1;
  std::string database;  // URL; empty: SQLite in a scratch folder
  bool postgresql = false;       // on a server of our own, instead
  Strike strike = Strike::host;  // what is hit; all but the host: only with postgresql
  bool fresh = false;    // a new database, host and simulator for each round
  int concurrency = 32;
  double chaos = 0;     // the part of Discord's answers that goes wrong: errors, limits, resets, late and double answers
  bool park = false;    // a second reaction, to a provider without idempotency, that is parked where nobody knows
};

struct Verdict : harness::Verdict {
  double longest_restart_ms = 0;
};

// Starts the host, sends it signed GitHub webhooks, kills it with -9 at a random moment, starts it again, and so on (or
// does the same to its database server, or cuts its connections to it); in the end waits until every run is done and compares what was answered 2xx with the messages at Discord's
// simulator. progress is told each round.
Verdict run(const Plan& plan, const std::function<void(const std::string&)>& progress);

}  // namespace patchbay::crash
