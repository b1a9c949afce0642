#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "core/loop.hpp"
#include "engine/flow_cache.hpp"
#include "engine/flow_store.hpp"
#include "engine/flows.hpp"
#include "engine/watch_table.hpp"
#include "engine/watch_tasks.hpp"

namespace patchbay::engine {

// Flows on one process: the store's rows, and the live watches on the loop.
class FlowService : public Flows {
 public:
  FlowService(Loop& loop, const Clock& clock, FlowStore& store, plugin::Registry& registry,
              vault::Connections& connections, const vault::Vault& vault, FlowCache& cache, WatchTable& watches,
              WatchTasks& tasks, std::string host);

  Checked<> validate(std::string_view definition) override;
  Checked<FlowRecord> create(UserId user, std::string_view definition) override;
  Checked<FlowRecord> update(UserId user, FlowId id, std::string_view definition,
                             std::optional<int> if_version) override;
  Result<FlowRecord> find(UserId user, FlowId id) override;
  Result<std::vector<FlowRecord>> list(UserId user, int limit, std::optional<FlowId> before) override;
  Checked<FlowRecord> activate(UserId user, FlowId id) override;
  Result<FlowRecord> deactivate(UserId user, FlowId id) override;
  Result<> remove(UserId user, FlowId id) override;

 private:
  class Claim;  // of a flow that is being changed: one at a time

  Checked<std::shared_ptr<const ReadyFlow>> prepare(UserId user, FlowId id, int version, std::string_view definition);
  [[nodiscard]] Result<> check_grants(const ReadyFlow& flow) const;
  [[nodiscard]] Result<WatchRecord> new_watch(const ReadyFlow& flow, std::size_t node) const;
  Result<> start_watch(const WatchRecord& record);
  Result<> stop_watch(WatchRecord record);
  Result<> start_watches(const std::vector<WatchRecord>& records);
  Checked<> switch_version(const FlowRecord& saved, const std::shared_ptr<const ReadyFlow>& ready);

  Loop& loop_;
  const Clock& clock_;
  FlowStore& store_;
  plugin::Registry& registry_;
  vault::Connections& connections_;
  const vault::Vault& vault_;
  FlowCache& cache_;     // on the loop only
  WatchTable& watches_;  // on the loop only
  WatchTasks& tasks_;    // on the loop only
  const std::string host_;  // this one
  std::mutex mutex_;     // guards changing_
  std::set<FlowId> changing_;
};

}  // namespace patchbay::engine
