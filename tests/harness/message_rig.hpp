#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "harness/host.hpp"
#include "harness/load.hpp"
#include "harness/scratch.hpp"
#include "harness/simulators.hpp"
#include "harness/sink.hpp"

namespace patchbay::harness {

// What became of deliveries, counted by their number.
struct Verdict {
  std::size_t accepted = 0;   // answered 2xx
  std::size_t messages = 0;   // that arrived at Discord, each number once
  std::size_t completed = 0;  // runs with that status
  std::size_t lost = 0;       // accepted, but no message
  std::size_t doubled = 0;    // numbers with more than one message
  std::size_t failed = 0;     // runs that failed for good
  std::size_t parked = 0;     // runs with a step that waits for a person ("maybe")
  std::size_t once_lost = 0;     // accepted, not at the sink, and not parked
  std::size_t once_doubled = 0;  // more than once at the sink, which knows no idempotency
  std::vector<std::string> examples;  // some of the lost and doubled, for a look into the database
  std::string kept;                   // folder with database and log, when something is wrong
};

// A host with its simulators and one active flow: every GitHub issue becomes a Discord message, whose nonce check is on.
// One thread.
class MessageRig {
 public:
  // database: URL; empty: SQLite in a scratch folder. plugins: folder; empty: this build's.
  // parks: the flow also POSTs each issue to a sink that knows no idempotency, with on_unknown "park".
  explicit MessageRig(const std::string& name, const std::string& database = {}, const std::string& plugins = {}, bool parks = false);

  [[nodiscard]] Host& host() { return host_; }
  [[nodiscard]] Api& api() { return api_; }
  [[nodiscard]] Simulators& simulators() { return simulators_; }
  // For a Load to this flow: target, body and the next number.
  [[nodiscard]] LoadSettings load_settings() const;
  // Remembers what must have become of this.
  void add(const std::vector<Sent>& sent);
  [[nodiscard]] std::size_t accepted() const { return accepted_.size(); }

  // Waits until every run is done, and adds what became of all that was added. Throws when runs do not end in 300 s.
  void judge(Verdict& verdict);

 private:
  void wait_for_runs();
  std::map<std::string, int> count_messages();
  void judge_sink(Verdict& verdict, std::size_t parked);

  ScratchFolder folder_;
  Sink sink_;
  const bool parks_;
  Simulators simulators_;
  Host host_;
  Api api_;
  Target target_;
  std::uint64_t next_id_ = 1;
  std::vector<std::uint64_t> accepted_;
};

}  // namespace patchbay::harness
