#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <unordered_set>

#include "core/loop.hpp"
#include "core/metrics.hpp"
#include "engine/flow_cache.hpp"
#include "engine/run_store.hpp"
#include "engine/runner.hpp"
#include "engine/watch_table.hpp"
#include "journal/journal.hpp"

namespace patchbay::engine {

// From what a plugin's task brought to runs under way: commits events, state and delivery together, and only then
// starts the runs. What does not fit into memory stays in the store and is fetched when there is room; the same path
// goes on with open runs after a restart. On the loop's thread only; background does the reading that blocks.
class Intake {
 public:
  Intake(Loop& loop, Executor& background, const Clock& clock, journal::Journal& journal, RunStore& runs,
         FlowCache& flows, Runner& runner, std::chrono::milliseconds load_retry);
  ~Intake();

  struct Batch {
    std::shared_ptr<Watch> watch;
    std::vector<plugin::EmittedEvent> events;
    std::optional<std::string> state;
    int state_version = 0;
    std::optional<Timestamp> next_at;
    std::optional<journal::DeliveryRecord> delivery;           // new
    std::optional<journal::DeliveryRecord> finished_delivery;  // committed before
    std::shared_ptr<const JsonDocument> body;                  // of the delivery, parsed
  };
  using Done = std::move_only_function<void(Result<>)>;

  // done runs after the commit, when the runs have begun. Errc::exhausted (also by done): the queue is full.
  void commit(Batch batch, Done done);

  // Fetches open runs from the store, as far as there is room.
  void load_open_runs();  // also while it does so already: then once more

 private:
  void committed(const std::shared_ptr<Watch>& watch, const journal::Ingest& ingest,
                 const std::shared_ptr<const JsonDocument>& body);
  void start_run(const journal::Ingest& ingest, const journal::EventRecord& event, const std::string& trigger_node,
                 std::shared_ptr<const JsonDocument> data);
  void loaded(Result<std::vector<OpenRun>> runs, int limit);
  void load_page(RunId after);
  void resume(OpenRun& run);
  void load_again_later();

  Loop& loop_;
  Executor& background_;
  const Clock& clock_;
  journal::Journal& journal_;
  RunStore& runs_;
  FlowCache& flows_;
  Runner& runner_;
  const std::chrono::milliseconds load_retry_;
  std::unordered_set<RunId> committing_;  // their runs begin with their commit, not by loading
  std::unordered_set<RunId> ended_;       // while loading: runs that ended after the page was read
  bool loading_ = false;
  bool load_more_ = false;  // somebody asked while it was loading
  bool spilled_ = false;  // open runs in the store that are not in memory
  bool load_timer_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  metrics::Counter events_;
  metrics::Counter duplicates_;
};

}  // namespace patchbay::engine
