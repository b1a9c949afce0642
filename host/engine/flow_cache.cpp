#include "engine/flow_cache.hpp"

#include <fmt/format.h>

#include "core/log.hpp"

namespace patchbay::engine {

Result<std::vector<ConnectionId>> resolve_connections(const flow::Flow& flow, UserId user,
                                                      vault::Connections& connections) {
  std::vector<ConnectionId> ids(flow.nodes.size());
  for (std::size_t i = 0; i < flow.nodes.size(); ++i) {
    const auto& node = flow.nodes[i];
    if (node.connection.empty()) continue;
    const auto connection = connections.find_by_name(user, node.connection);
    if (!connection) {
      return fail(connection.error().code, fmt::format("node '{}': {}", node.id, connection.error().message));
    }
    const auto provider = node.operation.substr(0, node.operation.find('.'));
    if (connection->provider != provider) {
      return fail(Errc::invalid, fmt::format("node '{}': connection '{}' is of {}, not of {}", node.id, node.connection,
                                             connection->provider, provider));
    }
    ids[i] = connection->id;
  }
  return ids;
}

Result<std::shared_ptr<const ReadyFlow>> FlowCache::get(FlowId id, int version, UserId user) {
  const auto found = flows_.find({id, version});
  if (found != flows_.end()) return found->second;
  auto definition = store_.definition(id, version);
  if (!definition) return std::unexpected(definition.error());
  auto compiled = flow::compile(*definition, catalogue_);
  if (!compiled) {
    const auto& problem = compiled.error().front();
    return fail(Errc::unavailable, fmt::format("flow {} version {} does not compile any more: {}: {}", id.to_string(),
                                               version, problem.pointer, problem.message));
  }
  auto ready = std::make_shared<ReadyFlow>();
  ready->id = id;
  ready->version = version;
  ready->user = user;
  ready->flow = *std::move(compiled);
  auto connections = resolve_connections(*ready->flow, user, connections_);
  if (!connections) return std::unexpected(connections.error());
  ready->connections = *std::move(connections);
  put(ready);
  return ready;
}

void FlowCache::put(std::shared_ptr<const ReadyFlow> flow) {
  if (flows_.size() >= kLimit) flows_.erase(flows_.begin());
  flows_[{flow->id, flow->version}] = std::move(flow);
}

void FlowCache::forget(FlowId id) {
  flows_.erase(flows_.lower_bound({id, 0}), flows_.upper_bound({id, std::numeric_limits<int>::max()}));
}

void FlowCache::refresh_connections() {
  if (auto loaded = connections_.load_changed(); !loaded) log::warn("engine", "connections could not be read: {}", loaded.error().message);
}

}  // namespace patchbay::engine
