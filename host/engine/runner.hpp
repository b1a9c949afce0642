#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/json.hpp"
#include "core/loop.hpp"
#include "core/metrics.hpp"
#include "core/time.hpp"
#include "engine/run_store.hpp"
#include "flow/flow.hpp"
#include "plugin/registry.hpp"

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
};

struct RunnerSettings {
  std::size_t runs = 10'000;  // in memory; more wait in the store
  std::size_t concurrent_reactions = 1'000;
  std::chrono::milliseconds save_retry{500};  // when the store takes no result
};

// Executes runs: decides nodes in the flow's order, renders parameters, calls reactions, retries, stores each result
// before the next reaction starts. On the loop's thread only.
class Runner {
 public:
  Runner(Loop& loop, const Clock& clock, RunStore& store, plugin::Registry& registry, RunnerSettings settings);
  ~Runner();

  // There is room for another run in memory.
  [[nodiscard]] bool has_room() const { return runs_.size() < settings_.runs; }
  [[nodiscard]] bool holds(RunId id) const { return runs_.contains(id); }
  [[nodiscard]] std::size_t size() const { return runs_.size(); }

  // Begins a run that the journal has committed.
  void start(NewRun run);
  // Goes on with a run of before: steps are what was stored of it.
  void resume(NewRun run, const std::vector<StepRow>& steps, std::optional<Timestamp> started);

  [[nodiscard]] bool is_half_empty() const { return runs_.size() < settings_.runs / 2; }

  // Called each time a run has ended and left memory.
  void on_ended(std::function<void(RunId)> callback) { ended_ = std::move(callback); }

  // From now on no new reaction begins; those under way end as they will. Their runs stay open in the store.
  void drain() { draining_ = true; }
  [[nodiscard]] std::size_t reactions_under_way() const { return reactions_; }

 private:
  enum class NodeState { undecided, waiting, running, done, failed, skipped };
  struct NodeRun {
    NodeState state = NodeState::undecided;
    std::string port;  // the one that fired
    int attempt = 0;
    std::string input;
    Timestamp started;
    bool maybe_begun = false;             // before a restart: nobody knows
    std::optional<Timestamp> not_before;  // the wait that a restart interrupted
  };
  struct Run;
  using RunPointer = std::shared_ptr<Run>;

  void add(const RunPointer& run);
  void advance(const RunPointer& run);
  bool decide(Run& run, std::size_t index);
  void evaluate_condition(Run& run, std::size_t index);
  void launch(const RunPointer& run, std::size_t index);
  void begin_reaction(const RunPointer& run, std::size_t index);
  void reaction_ended(const RunPointer& run, std::size_t index, plugin::Outcome outcome);
  void step_succeeded(const RunPointer& run, std::size_t index, std::string output);
  void step_failed(const RunPointer& run, std::size_t index, const Error& error, std::optional<Duration> wait);
  void fail_step_for_good(const RunPointer& run, std::size_t index, const Error& error);
  void save(const RunPointer& run, RunUpdate update);
  void submit(const RunPointer& run, RunUpdate update, bool ended);
  void saved(const RunPointer& run, bool ended);
  void launch_after(std::chrono::milliseconds pause, const RunPointer& run, std::size_t index);
  [[nodiscard]] bool edges_decided(const Run& run, std::size_t index, bool& fired) const;
  [[nodiscard]] StepRow row(const Run& run, std::size_t index, std::string status) const;
  [[nodiscard]] std::chrono::milliseconds back_off(const flow::Retry& retry, int attempt);
  void flush_launches();

  Loop& loop_;
  const Clock& clock_;
  RunStore& store_;
  plugin::Registry& registry_;
  RunnerSettings settings_;
  std::unordered_map<RunId, RunPointer> runs_;
  std::deque<std::pair<RunPointer, std::size_t>> launches_;  // reactions that wait for a place
  std::size_t reactions_ = 0;
  bool draining_ = false;
  bool flushing_ = false;
  std::function<void(RunId)> ended_;
  std::minstd_rand random_{std::random_device{}()};
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // callbacks look here before they touch this
  metrics::Counter completed_;
  metrics::Counter failed_;
  metrics::Counter retries_;
  metrics::Gauge in_progress_;
};

}  // namespace patchbay::engine
