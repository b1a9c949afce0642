#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "core/loop.hpp"
#include "engine/flow_cache.hpp"
#include "engine/flow_service.hpp"
#include "engine/flow_store.hpp"
#include "engine/hooks.hpp"
#include "engine/hosts.hpp"
#include "engine/intake.hpp"
#include "engine/retention.hpp"
#include "engine/run_store.hpp"
#include "engine/runner.hpp"
#include "engine/watch_table.hpp"
#include "engine/watch_tasks.hpp"
#include "journal/journal.hpp"
#include "plugin/registry.hpp"
#include "store/group_commit.hpp"
#include "vault/connections.hpp"
#include "vault/vault.hpp"

namespace patchbay::engine {

struct EngineSettings {
  RunnerSettings runner;
  store::GroupCommit::Limits commit;
  IntakeSettings intake;
  RetentionSettings retention;
  std::chrono::milliseconds lease{15'000};  // after which a host that does not stir is taken for dead
};

// Everything between an accepted event and its reactions, put together. All but flows() is the loop thread's.
class Engine : public plugin::ReloadListener {
 public:
  struct Parts {
    Loop& loop;
    Executor& background;    // for work that blocks for a moment
    Executor& housekeeping;  // for work that may take long; nothing waits for it. May be the same
    const Clock& clock;
    store::Database& database;
    const vault::Vault& vault;
    vault::Connections& connections;
    plugin::Registry& registry;
    HostId host = HostId::make(system_clock().now());  // this one: its place in the database (store::Options::place)
  };

  Engine(const Parts& parts, EngineSettings settings);
  ~Engine() override;

  // Loads the watches, goes on with open deliveries and runs. Before the loop turns. Callback URLs are
  // public_url/hooks/<token>.
  Result<> start(std::string public_url);

  [[nodiscard]] Hooks& hooks() { return hooks_; }
  [[nodiscard]] Flows& flows() { return flows_; }  // any thread but the loop's
  // Takes up runs that somebody else has written: replays, those of another host. The loop thread only.
  void look_for_runs() { intake_.look(); }
  // Drops a run that was ended in the store. The loop thread only.
  void cancel_run(RunId id) { runner_.cancel(id); }
  [[nodiscard]] std::size_t watches() const { return watches_.size(); }
  [[nodiscard]] std::size_t runs_in_memory() const { return runner_.size(); }

  // told: why this host cannot take anything now, or empty when it can again. Before start().
  void on_health(std::function<void(std::string why_not)> told) { told_ = std::move(told); }

  // No new reaction begins; done when those under way have ended and their results are stored, or after limit. Then
  // others may have what is left.
  void drain(std::chrono::milliseconds limit, Task done);

  // A build that lacks what live watches need, or cannot read their state, is refused. The others take the watches over
  // as they are: the provider notices nothing.
  Result<> may_replace(const plugin::Manifest& now, const plugin::Manifest& next) override;
  void replaced(const std::string& provider) override;

 private:
  Result<std::vector<WatchRecord>> read_watches();  // blocks
  Result<std::vector<WatchRecord>> opened(Result<std::vector<WatchRecord>> records);
  void take_watches(std::vector<WatchRecord> records);
  void watch_connections();
  void connection_ready(ConnectionId id);
  void beat_later();
  void beat();
  void come_back();
  void leave(const std::shared_ptr<Task>& done);
  void retry_deliveries_later();
  void wait_for_quiet(std::chrono::steady_clock::time_point deadline, std::shared_ptr<Task> done);

  Parts parts_;
  EngineSettings settings_;
  Hosts hosts_;
  FlowStore flow_store_;
  journal::Journal journal_;
  RunStore run_store_;
  Retention retention_;
  store::GroupCommit commit_;  // behind all that it applies
  FlowCache cache_;
  WatchTable watches_;
  WatchSource source_;
  Runner runner_;
  Intake intake_;
  Hooks hooks_;
  WatchTasks tasks_;
  FlowService flows_;
  bool takes_ = true;  // the database, what is written to it
  bool read_all_watches_ = false;
  std::function<void(std::string)> told_ = [](const std::string&) {};
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace patchbay::engine
