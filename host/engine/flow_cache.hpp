#pragma once

#include <map>
#include <memory>
#include <utility>

#include "engine/flow_store.hpp"
#include "engine/runner.hpp"
#include "flow/catalogue.hpp"
#include "vault/connections.hpp"

namespace patchbay::engine {

// Looks up a flow's connections by their names. Errc::not_found names the node and the connection. Blocks.
Result<std::vector<ConnectionId>> resolve_connections(const flow::Flow& flow, UserId user,
                                                      vault::Connections& connections);

// Versions of flows that can run. One that is not here is read and compiled on the loop, once: a flow that sleeps costs
// nothing. On the loop's thread only.
class FlowCache {
 public:
  FlowCache(FlowStore& store, const flow::Catalogue& catalogue, vault::Connections& connections)
      : store_(store), catalogue_(catalogue), connections_(connections) {}

  Result<std::shared_ptr<const ReadyFlow>> get(FlowId id, int version, UserId user);
  void put(std::shared_ptr<const ReadyFlow> flow);
  void forget(FlowId id);
  // What other hosts have changed of connections. Blocks; any thread.
  void refresh_connections();

 private:
  static constexpr std::size_t kLimit = 10'000;
  FlowStore& store_;
  const flow::Catalogue& catalogue_;
  vault::Connections& connections_;
  std::map<std::pair<FlowId, int>, std::shared_ptr<const ReadyFlow>> flows_;
};

}  // namespace patchbay::engine
