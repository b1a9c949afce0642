#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/id.hpp"
#include "core/time.hpp"
#include "store/database.hpp"

namespace patchbay::engine {

// Reading runs, for the API and the command line. Any thread, blocking; every query is scoped to its owner.
struct RunSummary {
  RunId id;
  FlowId flow;
  int flow_version = 0;
  EventId event;
  std::string status;  // pending, running, completed, failed, cancelled, paused
  Timestamp created;
  std::optional<Timestamp> started;
  std::optional<Timestamp> finished;
  std::string error;
  std::optional<RunId> replay_of;
  std::string replay_from;  // node; empty: from the start
};

struct StepDetail {
  std::string node;
  std::string kind;    // trigger, if, reaction
  std::string status;  // completed, failed, skipped, running (waits for its next attempt), pending
  std::string port;    // of an if: "true" or "false"
  std::string condition;  // of an if: as it is written
  int attempt = 0;
  std::string input;   // JSON text; empty: none
  std::string output;  // JSON text; empty: none
  std::string error;
  std::optional<Timestamp> started;
  std::optional<Timestamp> finished;
  std::optional<Timestamp> next;  // of the next attempt
};

struct RunDetail : RunSummary {
  std::string flow_name;
  WatchId watch;
  std::string event_key;
  std::optional<DeliveryId> delivery;
  std::vector<StepDetail> steps;  // in the flow's order, the trigger first
};

struct RunFilter {
  UserId user;
  std::optional<FlowId> flow;
  std::vector<std::string> statuses;  // empty: all
  int limit = 50;
  std::optional<RunId> before;  // cursor: newest first
};

[[nodiscard]] Result<std::vector<RunSummary>> list_runs(store::Database& database, const RunFilter& filter);
[[nodiscard]] Result<RunDetail> find_run(store::Database& database, UserId user, RunId id);

// What became of a delivery, an event or a run, gate by gate, in the order of the way.
struct Gate {
  std::string name;  // received, verified, recorded, matched, run, step:<node>, answered
  bool passed = false;
  std::string detail;  // for people
  std::optional<Timestamp> at;
};
struct Explanation {
  std::string subject;     // "delivery 0190…"
  std::optional<Timestamp> at;
  std::string conclusion;  // one sentence: how far it came and what stopped it
  std::vector<Gate> gates;
};
// id: of a delivery, an event or a run, or the provider's own key of an event. user nil: any (the command line).
[[nodiscard]] Result<Explanation> why(store::Database& database, UserId user, std::string_view id);

// All runs of a time, and the deliveries that brought none: what was stopped first, then the rest; each newest first.
struct WhyFilter {
  UserId user;
  std::optional<FlowId> flow;
  Timestamp since;
  Timestamp until;
  int limit = 50;
};
[[nodiscard]] Result<std::vector<Explanation>> why_of_time(store::Database& database, const WhyFilter& filter);

// A replay beside its original, node by node.
struct Comparison {
  RunId original;
  RunId replay;
  struct Node {
    std::string node;
    bool same = false;  // status, port, input and output
    StepDetail before;
    StepDetail after;
  };
  std::vector<Node> nodes;
  [[nodiscard]] bool is_same() const;
};
// Errc::conflict: the run is no replay; not_found: it or its original is not there.
[[nodiscard]] Result<Comparison> compare_replay(store::Database& database, UserId user, RunId replay);

}  // namespace patchbay::engine
