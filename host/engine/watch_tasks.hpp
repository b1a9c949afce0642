#pragma once

#include <functional>
#include <memory>

#include "core/loop.hpp"
#include "core/time.hpp"
#include "engine/flow_store.hpp"
#include "engine/hooks.hpp"
#include "engine/intake.hpp"
#include "engine/watch_source.hpp"
#include "engine/watch_table.hpp"
#include "schedule/scheduler.hpp"
#include "vault/connections.hpp"

namespace patchbay::engine {

// What watches do besides taking webhooks: subscribe, renew, poll, and end their subscription. On the loop's thread
// only; what it writes to the store by itself goes through background.
class WatchTasks {
 public:
  using Done = std::move_only_function<void(Result<>)>;

  WatchTasks(Loop& loop, Executor& background, const Clock& clock, const vault::Vault& vault, const vault::Connections& connections,
             FlowStore& store, WatchTable& watches, WatchSource& source, Hooks& hooks, Intake& intake);
  ~WatchTasks();

  // The first task of a watch: subscribe, or the first poll, which only remembers where we are.
  void begin(const std::shared_ptr<Watch>& watch, Done done);
  // Sets the clock for a watch of this host that was loaded.
  void schedule(const std::shared_ptr<Watch>& watch);
  // A connection that watches waited for is active again.
  void connection_ready(ConnectionId connection);
  // No watch is this host's any more.
  void forget_all() { scheduler_.clear(); }
  // Tells the provider to stop and removes the row; done hears of the first try. A provider that does not answer is
  // told again, until it does.
  void end(const std::shared_ptr<Watch>& watch, Done done);
 private:
  [[nodiscard]] Result<plugin::Call> make_call(const Watch& watch, plugin::Verb verb);
  void due(WatchId id);
  void run(const std::shared_ptr<Watch>& watch, Done done);
  void ended(const std::shared_ptr<Watch>& watch, plugin::Outcome outcome, Done done);
  void poll_again(const std::shared_ptr<Watch>& watch, Errc code);
  void stop_ended(const std::shared_ptr<Watch>& watch, const plugin::Outcome& outcome, Done done);

  Loop& loop_;
  Executor& background_;
  const Clock& clock_;
  const vault::Vault& vault_;
  const vault::Connections& connections_;
  FlowStore& store_;
  WatchTable& watches_;
  WatchSource& source_;
  Hooks& hooks_;
  Intake& intake_;
  schedule::Scheduler scheduler_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace patchbay::engine
