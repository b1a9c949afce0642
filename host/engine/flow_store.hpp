#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "core/error.hpp"
#include "core/id.hpp"
#include "core/time.hpp"
#include "engine/flows.hpp"
#include "store/database.hpp"

namespace patchbay::engine {

// A live trigger node as it is kept. status: active (takes events), stopping (takes none; the provider is to be told).
struct WatchRecord {
  WatchId id;
  FlowId flow;
  UserId user;
  int flow_version = 0;
  std::string node;
  std::string provider;
  std::string trigger;
  std::string params;
  ConnectionId connection;
  std::string token;
  std::string sealed_secret;  // empty in a live watch whose secret is open
  Secret secret;              // once open_secrets() was there
  std::string state;
  int state_version = 0;
  std::string status;
  std::optional<Timestamp> next;
  Timestamp created;
  std::string host;  // who polls, renews or ends it; empty: nobody, or nothing of it is due
  std::int64_t revision = 0;
};

// Flows, their versions and their watches in the database. Any thread; calls block.
class FlowStore {
 public:
  // host: the id of this one; none for who only looks.
  explicit FlowStore(store::Database& database, std::string host = {}) : database_(database), host_(std::move(host)) {}

  Result<> insert(const FlowRecord& flow);
  // Stores record as the next version. Errc::conflict unless the stored version is record.version - 1.
  Result<> insert_version(const FlowRecord& record);
  Result<FlowRecord> find(UserId user, FlowId id);
  Result<std::vector<FlowRecord>> list(UserId user, int limit, std::optional<FlowId> before);
  Result<> set_state(FlowId id, std::string_view state, Timestamp now);
  Result<> remove(UserId user, FlowId id);
  Result<std::string> definition(FlowId id, int version);
  Result<UserId> owner(FlowId id);

  Result<> insert_watch(const WatchRecord& watch);
  Result<> set_watch_version(WatchId id, int flow_version);
  // From now on it takes no events; this host tells the provider.
  Result<> stop_watch(WatchId id);
  Result<> remove_watch(WatchId id);
  Result<std::vector<WatchRecord>> watches_of(FlowId flow);
  Result<std::vector<WatchRecord>> all_watches();
  Result<std::optional<WatchRecord>> watch(WatchId id);
  Result<std::optional<WatchRecord>> active_watch(std::string_view token);
  // Takes what nobody polls, renews or ends.
  Result<std::vector<WatchRecord>> claim_watches();

 private:
  Result<std::vector<WatchRecord>> read_watches(std::string_view sql, std::initializer_list<store::Param> params);
  Result<> write_one(std::string_view sql, std::initializer_list<store::Param> params);
  store::Database& database_;
  const std::string host_;
};

}  // namespace patchbay::engine
