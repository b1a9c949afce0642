#pragma once

#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/json.hpp"
#include "core/loop.hpp"
#include "core/metrics.hpp"
#include "core/time.hpp"
#include "engine/breaker.hpp"
#include "engine/launch_queue.hpp"
#include "engine/run_store.hpp"
#include "flow/flow.hpp"
#include "plugin/registry.hpp"
#include "vault/connections.hpp"

namespace patchbay::engine {

// A flow that can run: compiled, its connections looked up.
struct ReadyFlow {
  FlowId id;
  int version = 0;
  UserId user;
  std::shared_ptr<const flow::Flow> flow;
  std::vector<ConnectionId> connections;  // of flow->nodes, nil where there is none
};

// An event that was committed, and the run that goes with it.
struct NewRun {
  RunId id;
  UserId user;
  EventId event;
  std::shared_ptr<const ReadyFlow> flow;
  std::string trigger_node;
  std::shared_ptr<const JsonDocument> data;
  std::string lane = {};  // that the run stands in; empty: none
  int lane_width = 0;
};

// What was stored of a run that begins again.
struct Before {
  std::vector<StepRow> steps;
  std::optional<Timestamp> started;
  bool interrupted = false;  // its host died with it: what was begun is not known
};

struct RunnerSettings {
  std::size_t runs = 10'000;  // in memory; more wait in the store
  std::size_t concurrent_reactions = 1'000;
  std::chrono::milliseconds save_retry{500};  // when the store takes no result
  std::chrono::milliseconds longest_pause{2'000};  // that a run spends in memory; for a longer one it rests in the store
};

// Executes runs: decides nodes in the flow's order, renders parameters, calls reactions, retries, stores each result
// before the next reaction starts. A run that only waits is given back to the store until it is due. On the loop's thread
// only.
class Runner {
 public:
  Runner(Loop& loop, const Clock& clock, RunStore& store, plugin::Registry& registry, const vault::Connections& connections, RunnerSettings settings);
  ~Runner();

  // There is room for another run in memory.
  [[nodiscard]] bool has_room() const { return runs_.size() < settings_.runs; }
  [[nodiscard]] bool holds(RunId id) const { return runs_.contains(id); }
  [[nodiscard]] std::size_t size() const { return runs_.size(); }
  [[nodiscard]] std::size_t limit() const { return settings_.runs; }
  [[nodiscard]] std::size_t room() const { return settings_.runs - std::min(settings_.runs, runs_.size()); }
  // What is in memory of each flow.
  struct Share {
    std::size_t runs = 0;
    std::size_t waiting = 0;  // reactions that wait for a place
  };
  [[nodiscard]] const std::unordered_map<FlowId, Share>& shares() const { return shares_; }
  [[nodiscard]] std::size_t places() const { return settings_.concurrent_reactions; }

  // Begins a run that the journal has committed.
  void start(NewRun run);
  // Goes on with a run of before.
  void resume(NewRun run, const Before& before);
  // Gives a run back that cannot begin now, or (no time) fails it for good, with the reason.
  void put_off(const NewRun& run, std::optional<Timestamp> until, const std::string& reason);
  // Somebody has ended it in the store: what is under way of it ends as it will, nothing new begins.
  void cancel(RunId id);
  // All of them: another host has them now.
  void abandon();

  [[nodiscard]] bool is_half_empty() const { return runs_.size() < settings_.runs / 2; }

  // Asked before each reaction; false: none may begin until begin_waiting() is called.
  void only_while(std::function<bool()> may_begin) { may_begin_ = std::move(may_begin); }
  void begin_waiting() { flush_launches(); }

  // Called each time a run of that flow has left memory. due: when another one can be claimed because of it.
  using Left = std::function<void(FlowId flow, std::optional<Timestamp> due)>;
  void on_left(Left callback) { left_ = std::move(callback); }

  // A connection that steps waited for is active again: those in memory go on.
  void connection_ready(ConnectionId connection);
  // Called when a run has been put to rest for a connection, and when a step cannot be done for want of these permissions.
  using Rests = std::function<void(ConnectionId connection)>;
  using Lacks = std::function<void(ConnectionId connection, vault::Scopes missing)>;
  void on_connection(Rests rests, Lacks lacks) {
    rests_ = std::move(rests);
    lacks_ = std::move(lacks);
  }

  // From now on no new reaction begins; those under way end as they will. Their runs stay open in the store.
  void drain() { draining_ = true; }
  [[nodiscard]] std::size_t reactions_under_way() const { return reactions_; }

 private:
  enum class NodeState { undecided, waiting, sleeping, running, done, failed, skipped, parked };
  struct NodeRun {
    NodeState state = NodeState::undecided;
    std::string port;  // the one that fired
    int attempt = 0;
    std::string input;
    Timestamp started;
    bool maybe_begun = false;             // before the host died: nobody knows
    bool retries = false;                 // it has failed before
    bool marked = false;                  // the store knows that this attempt begins
    std::optional<Timestamp> not_before;  // while sleeping
    ConnectionId waits_for;               // likewise, for an account that is not well; nil: it does not
  };
  struct Run;
  using RunPointer = std::shared_ptr<Run>;
  struct Launch {
    RunPointer run;
    std::size_t index;
  };

  [[nodiscard]] static RunPointer make_run();
  void add(const RunPointer& run);
  void advance(const RunPointer& run);
  bool decide(Run& run, std::size_t index);
  void evaluate_condition(Run& run, std::size_t index);
  void restore(Run& run, const Before& before);
  void launch(const RunPointer& run, std::size_t index);
  void enqueue(const RunPointer& run, std::size_t index);
  void mark_begun(const RunPointer& run, std::size_t index);
  void sleep(const RunPointer& run, std::size_t index, Timestamp until);
  void begin_reaction(const RunPointer& run, std::size_t index);
  void reaction_ended(const RunPointer& run, std::size_t index, plugin::Outcome outcome);
  void step_succeeded(const RunPointer& run, std::size_t index, std::string output);
  void step_failed(const RunPointer& run, std::size_t index, const Error& error, std::optional<Duration> wait);
  void fail_step_for_good(const RunPointer& run, std::size_t index, const Error& error);
  void park(const RunPointer& run, std::size_t index, const Error& error);
  void postpone(const RunPointer& run, std::size_t index, Timestamp until, const std::string& reason);
  [[nodiscard]] bool hold(const RunPointer& run, std::size_t index, int attempts);
  [[nodiscard]] ConnectionId awaited(const Run& run) const;
  [[nodiscard]] std::optional<Timestamp> rest_until(const Run& run) const;
  void save(const RunPointer& run);
  void submit(const RunPointer& run, RunUpdate update);
  void saved(const RunPointer& run, const RunUpdate& update);
  void forget(const RunPointer& run);
  [[nodiscard]] bool edges_decided(const Run& run, std::size_t index, bool& fired) const;
  [[nodiscard]] StepRow row(const Run& run, std::size_t index, std::string status) const;
  [[nodiscard]] Duration spread(Duration wait);
  [[nodiscard]] std::chrono::milliseconds back_off(const flow::Retry& retry, int attempt);
  void flush_launches();
  void reaction_over(const Launch& launch);

  Loop& loop_;
  const Clock& clock_;
  RunStore& store_;
  plugin::Registry& registry_;
  const vault::Connections& connections_;
  RunnerSettings settings_;
  std::unordered_map<RunId, RunPointer> runs_;
  std::unordered_map<FlowId, Share> shares_;
  LaunchQueue<Launch> launches_;  // reactions that wait for a place
  Breaker breaker_;
  std::size_t reactions_ = 0;
  bool draining_ = false;
  bool flushing_ = false;
  Left left_;
  Rests rests_ = [](ConnectionId) {};
  Lacks lacks_ = [](ConnectionId, const vault::Scopes&) {};
  std::function<bool()> may_begin_ = [] { return true; };
  std::minstd_rand random_{std::random_device{}()};
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // callbacks look here before they touch this
  metrics::Counter completed_;
  metrics::Counter failed_;
  metrics::Counter retries_;
  metrics::Gauge in_progress_;
};

}  // namespace patchbay::engine
