#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <unordered_set>
#include <vector>

#include "core/loop.hpp"
#include "core/metrics.hpp"
#include "engine/flow_cache.hpp"
#include "engine/run_store.hpp"
#include "engine/runner.hpp"
#include "engine/watch_table.hpp"
#include "journal/journal.hpp"

namespace patchbay::engine {

struct IntakeSettings {
  std::chrono::milliseconds load_retry{5'000};   // until the store is asked again that gave no answer
  std::chrono::milliseconds look{1'000};         // how often it is asked for runs that nobody has
  std::chrono::milliseconds recount{30'000};     // how often for runs of this host that it does not know
  std::size_t runs_of_flow = 2'500;              // in memory; more of one flow wait in the store
};

// From what a plugin's task brought to runs under way: commits events, state and delivery together, and only then
// starts the runs. What does not fit into memory, or has to wait, stays in the store, where whoever has room claims it;
// the same way goes on with what another host, or this one before its restart, has left. On the loop's thread only;
// background does what blocks.
class Intake {
 public:
  Intake(Loop& loop, Executor& background, const Clock& clock, journal::Journal& journal, RunStore& runs,
         FlowCache& flows, Runner& runner, IntakeSettings settings, bool shared);
  ~Intake();

  struct Batch {
    std::shared_ptr<Watch> watch;
    std::optional<std::int64_t> revision = {};  // of the watch, that its task worked from; none: it holds for any
    std::vector<plugin::EmittedEvent> events = {};
    std::optional<std::string> state = {};
    int state_version = 0;
    std::optional<Timestamp> next_at = {};
    std::optional<journal::DeliveryRecord> delivery = {};           // new
    std::optional<journal::DeliveryRecord> finished_delivery = {};  // committed before
    std::shared_ptr<const JsonDocument> body = {};                  // of the delivery, parsed
  };
  using Done = std::move_only_function<void(Result<>)>;

  // done runs after the commit, when the runs have begun. Errc::exhausted (also by done): the queue is full.
  void commit(Batch batch, Done done);

  // Claims runs that nobody has, as far as there is room. A timer, hints of other hosts and runs that end call it.
  void look();
  // Looks from now on.
  void begin();

 private:
  void committed(const std::shared_ptr<Watch>& watch, const journal::Ingest& ingest,
                 const std::shared_ptr<const JsonDocument>& body);
  void choose_place(journal::EventRecord& event, const journal::Ingest& ingest, const std::string& trigger_node,
                    const std::shared_ptr<const JsonDocument>& body);
  void start_run(const journal::Ingest& ingest, const journal::EventRecord& event, const std::string& trigger_node,
                 std::shared_ptr<const JsonDocument> data);
  void claimed(Result<Claimed> result, int limit);
  void resume(OpenRun& run);
  [[nodiscard]] bool is_full(FlowId flow) const;
  [[nodiscard]] bool is_full(const Runner::Share& share) const;
  void look_later();
  void look_at(Timestamp due);
  void recount();
  void recount_later();
  void recount_now_and_then();
  void give_up_unknown(const std::vector<RunId>& own);

  Loop& loop_;
  Executor& background_;
  const Clock& clock_;
  journal::Journal& journal_;
  RunStore& runs_;
  FlowCache& flows_;
  Runner& runner_;
  const IntakeSettings settings_;
  const bool shared_;  // other hosts may help
  std::unordered_set<RunId> committing_;  // their runs begin with their commit
  bool looking_ = false;
  bool look_more_ = false;     // somebody asked while it was looking
  bool recounting_ = false;
  bool recount_soon_ = false;
  std::uint64_t wake_ = 0;     // the timer of the next run that is due
  std::optional<Timestamp> wake_at_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  metrics::Counter events_;
  metrics::Counter duplicates_;
};

}  // namespace patchbay::engine
