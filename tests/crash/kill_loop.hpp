#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace patchbay::crash {

struct Plan {
  int rounds = 10;
  std::uint64_t seed = 1;
  std::string database;  // URL; empty: SQLite in a scratch folder
  bool fresh = false;    // a new database, host and simulator for each round
  int concurrency = 32;
};

// Deliveries, counted by their number over all rounds.
struct Verdict {
  std::size_t accepted = 0;   // answered 2xx
  std::size_t messages = 0;   // that arrived at Discord, each number once
  std::size_t completed = 0;  // runs with that status
  std::size_t lost = 0;       // accepted, but no message
  std::size_t doubled = 0;    // numbers with more than one message
  std::size_t parked = 0;     // runs that failed for good or wait for a person
  double longest_restart_ms = 0;
  std::vector<std::string> examples;  // some of the lost and doubled, for a look into the database
  std::string kept;                   // folder with database and log, when something is wrong
};

// Starts the host, sends it signed GitHub webhooks, kills it with -9 at a random moment, starts it again, and so on;
// in the end waits until every run is done and compares what was answered 2xx with the messages at Discord's
// simulator, whose nonce check is on. progress is told each round.
Verdict run(const Plan& plan, const std::function<void(const std::string&)>& progress);

}  // namespace patchbay::crash
