#include "engine/flow_store.hpp"

namespace patchbay::engine {
namespace {

using store::Param;
using store::Row;
using store::Transaction;

FlowRecord to_flow(const Row& row) {
  return {.id = FlowId::parse(row.text(0)).value_or(FlowId{}),
          .user = UserId::parse(row.text(1)).value_or(UserId{}),
          .name = std::string(row.text(2)),
          .state = std::string(row.text(3)),
          .version = static_cast<int>(row.integer(4)),
          .definition = std::string(row.text(5)),
          .created = from_micros(row.integer(6)),
          .updated = from_micros(row.integer(7))};
}

WatchRecord to_watch(const Row& row) {
  WatchRecord watch;
  watch.id = WatchId::parse(row.text(0)).value_or(WatchId{});
  watch.flow = FlowId::parse(row.text(1)).value_or(FlowId{});
  watch.user = UserId::parse(row.text(2)).value_or(UserId{});
  watch.flow_version = static_cast<int>(row.integer(3));
  watch.node = row.text(4);
  watch.provider = row.text(5);
  watch.trigger = row.text(6);
  watch.params = row.text(7);
  if (!row.is_null(8)) watch.connection = ConnectionId::parse(row.text(8)).value_or(ConnectionId{});
  watch.token = row.text(9);
  watch.sealed_secret = row.blob(10);
  watch.state = row.text(11);
  watch.state_version = static_cast<int>(row.integer(12));
  watch.status = row.text(13);
  if (!row.is_null(14)) watch.next = from_micros(row.integer(14));
  watch.created = from_micros(row.integer(15));
  watch.host = row.text(16);
  watch.revision = row.integer(17);
  return watch;
}

Result<> insert_version_row(Transaction& transaction, const FlowRecord& flow, Timestamp now) {
  auto added = transaction.execute(
      "INSERT INTO flow_versions (flow_id, version, definition, created_at) VALUES ($1, $2, $3, $4)",
      {std::string_view(flow.id.to_string()), std::int64_t{flow.version}, std::string_view(flow.definition),
       micros(now)});
  if (!added) return std::unexpected(added.error());
  return {};
}

}  // namespace

Result<> FlowStore::insert(const FlowRecord& flow) {
  return database_.write([&](Transaction& transaction) -> Result<> {
    auto added = transaction.execute(
        "INSERT INTO flows (id, user_id, name, state, version, definition, created_at, updated_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        {std::string_view(flow.id.to_string()), std::string_view(flow.user.to_string()), std::string_view(flow.name),
         std::string_view(flow.state), std::int64_t{flow.version}, std::string_view(flow.definition),
         micros(flow.created), micros(flow.updated)});
    if (!added) return std::unexpected(added.error());
    return insert_version_row(transaction, flow, flow.created);
  });
}

Result<> FlowStore::insert_version(const FlowRecord& flow) {
  return database_.write([&](Transaction& transaction) -> Result<> {
    auto changed = transaction.execute(
        "UPDATE flows SET name = $3, version = $4, definition = $5, updated_at = $6 "
        "WHERE id = $1 AND user_id = $2 AND version = $7",
        {std::string_view(flow.id.to_string()), std::string_view(flow.user.to_string()), std::string_view(flow.name),
         std::int64_t{flow.version}, std::string_view(flow.definition), micros(flow.updated),
         std::int64_t{flow.version - 1}});
    if (!changed) return std::unexpected(changed.error());
    if (*changed == 0) return fail(Errc::conflict, "the flow was changed in the meantime: read it again");
    return insert_version_row(transaction, flow, flow.updated);
  });
}

Result<FlowRecord> FlowStore::find(UserId user, FlowId id) {
  std::optional<FlowRecord> found;
  auto read = database_.read([&](Transaction& transaction) -> Result<> {
    auto rows = transaction.execute(
        "SELECT id, user_id, name, state, version, definition, created_at, updated_at FROM flows "
        "WHERE id = $1 AND user_id = $2",
        {std::string_view(id.to_string()), std::string_view(user.to_string())},
        [&](const Row& row) { found = to_flow(row); });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  if (!found) return fail(Errc::not_found, "there is no flow " + id.to_string());
  return *std::move(found);
}

Result<std::vector<FlowRecord>> FlowStore::list(UserId user, int limit, std::optional<FlowId> before) {
  std::vector<FlowRecord> flows;
  const std::string cursor = before ? before->to_string() : "~";  // sorts behind every id
  auto read = database_.read([&](Transaction& transaction) -> Result<> {
    flows.clear();
    auto rows = transaction.execute(
        "SELECT id, user_id, name, state, version, definition, created_at, updated_at FROM flows "
        "WHERE user_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        {std::string_view(user.to_string()), std::string_view(cursor), std::int64_t{limit}},
        [&](const Row& row) { flows.push_back(to_flow(row)); });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  return flows;
}

Result<> FlowStore::write_one(std::string_view sql, std::initializer_list<Param> params) {
  return database_.write([&](Transaction& transaction) -> Result<> {
    auto changed = transaction.execute(sql, params);
    if (!changed) return std::unexpected(changed.error());
    return {};
  });
}

Result<> FlowStore::set_state(FlowId id, std::string_view state, Timestamp now) {
  return write_one("UPDATE flows SET state = $2, updated_at = $3 WHERE id = $1",
                   {std::string_view(id.to_string()), state, micros(now)});
}

Result<> FlowStore::remove(UserId user, FlowId id) {
  return write_one("DELETE FROM flows WHERE id = $1 AND user_id = $2",
                   {std::string_view(id.to_string()), std::string_view(user.to_string())});
}

Result<std::string> FlowStore::definition(FlowId id, int version) {
  std::optional<std::string> text;
  auto read = database_.read([&](Transaction& transaction) -> Result<> {
    auto rows = transaction.execute("SELECT definition FROM flow_versions WHERE flow_id = $1 AND version = $2",
                                    {std::string_view(id.to_string()), std::int64_t{version}},
                                    [&](const Row& row) { text = row.text(0); });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  if (!text)
    return fail(Errc::not_found, "there is no version " + std::to_string(version) + " of flow " + id.to_string());
  return *std::move(text);
}

Result<UserId> FlowStore::owner(FlowId id) {
  std::optional<UserId> user;
  auto read = database_.read([&](Transaction& transaction) -> Result<> {
    auto rows = transaction.execute("SELECT user_id FROM flows WHERE id = $1", {std::string_view(id.to_string())},
                                    [&](const Row& row) { user = UserId::parse(row.text(0)); });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  if (!user) return fail(Errc::not_found, "there is no flow " + id.to_string());
  return *user;
}

Result<> FlowStore::insert_watch(const WatchRecord& watch) {
  const std::string connection = watch.connection.to_string();
  return write_one(
      "INSERT INTO watches (id, flow_id, user_id, flow_version, node_id, provider, trigger_name, params, "
      "connection_id, token, secret, state, state_version, status, next_at, created_at, host) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
      {std::string_view(watch.id.to_string()), std::string_view(watch.flow.to_string()),
       std::string_view(watch.user.to_string()), std::int64_t{watch.flow_version}, std::string_view(watch.node),
       std::string_view(watch.provider), std::string_view(watch.trigger), std::string_view(watch.params),
       watch.connection.is_nil() ? Param{nullptr} : Param{std::string_view(connection)}, std::string_view(watch.token),
       store::Blob{watch.sealed_secret}, std::string_view(watch.state), std::int64_t{watch.state_version},
       std::string_view(watch.status), watch.next ? Param{micros(*watch.next)} : Param{nullptr},
       micros(watch.created), watch.host.empty() ? Param{nullptr} : Param{std::string_view(watch.host)}});
}

Result<> FlowStore::set_watch_version(WatchId id, int flow_version) {
  return write_one("UPDATE watches SET flow_version = $2, revision = revision + 1 WHERE id = $1",
                   {std::string_view(id.to_string()), std::int64_t{flow_version}});
}

Result<> FlowStore::stop_watch(WatchId id) {
  return write_one("UPDATE watches SET status = 'stopping', host = $2, error = NULL WHERE id = $1",
                   {std::string_view(id.to_string()), std::string_view(host_)});
}

Result<> FlowStore::remove_watch(WatchId id) {
  return write_one("DELETE FROM watches WHERE id = $1", {std::string_view(id.to_string())});
}

Result<std::vector<WatchRecord>> FlowStore::read_watches(std::string_view sql, std::initializer_list<Param> params) {
  std::vector<WatchRecord> watches;
  auto read = database_.read([&](Transaction& transaction) -> Result<> {
    watches.clear();
    auto rows = transaction.execute(sql, params, [&](const Row& row) { watches.push_back(to_watch(row)); });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  return watches;
}

Result<std::vector<WatchRecord>> FlowStore::watches_of(FlowId flow) {
  return read_watches(
      "SELECT id, flow_id, user_id, flow_version, node_id, provider, trigger_name, params, connection_id, token, "
      "secret, state, state_version, status, next_at, created_at, host, revision FROM watches WHERE flow_id = $1 ORDER BY id",
      {std::string_view(flow.to_string())});
}

Result<std::vector<WatchRecord>> FlowStore::all_watches() {
  return read_watches(
      "SELECT id, flow_id, user_id, flow_version, node_id, provider, trigger_name, params, connection_id, token, "
      "secret, state, state_version, status, next_at, created_at, host, revision FROM watches ORDER BY id",
      {});
}

Result<std::optional<WatchRecord>> FlowStore::watch(WatchId id) {
  auto found = read_watches(
      "SELECT id, flow_id, user_id, flow_version, node_id, provider, trigger_name, params, connection_id, token, "
      "secret, state, state_version, status, next_at, created_at, host, revision FROM watches WHERE id = $1",
      {std::string_view(id.to_string())});
  if (!found) return std::unexpected(found.error());
  return found->empty() ? std::nullopt : std::optional(std::move(found->front()));
}

Result<std::optional<WatchRecord>> FlowStore::active_watch(std::string_view token) {
  auto found = read_watches(
      "SELECT id, flow_id, user_id, flow_version, node_id, provider, trigger_name, params, connection_id, token, "
      "secret, state, state_version, status, next_at, created_at, host, revision FROM watches WHERE token = $1 AND status = 'active'",
      {token});
  if (!found) return std::unexpected(found.error());
  return found->empty() ? std::nullopt : std::optional(std::move(found->front()));
}

Result<std::vector<WatchRecord>> FlowStore::claim_watches() {
  bool any = false;
  std::vector<WatchRecord> watches;
  // A reader looks first: mostly there is none.
  auto looked = database_.read([&](Transaction& transaction) -> Result<> {
    auto rows = transaction.execute("SELECT id FROM watches WHERE host IS NULL AND (next_at IS NOT NULL OR status <> 'active') LIMIT 1", {},
                                    [&](const Row&) { any = true; });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!looked) return std::unexpected(looked.error());
  if (!any) return watches;
  auto written = database_.write([&](Transaction& transaction) -> Result<> {
    watches.clear();
    auto rows = transaction.execute(
        "UPDATE watches SET host = $1 WHERE id IN (SELECT id FROM watches WHERE host IS NULL AND (next_at IS NOT NULL OR status <> 'active') "
        "/*postgresql: FOR UPDATE SKIP LOCKED*/) "
        "RETURNING id, flow_id, user_id, flow_version, node_id, provider, trigger_name, params, connection_id, token, "
        "secret, state, state_version, status, next_at, created_at, host, revision",
        {std::string_view(host_)}, [&](const Row& row) { watches.push_back(to_watch(row)); });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!written) return std::unexpected(written.error());
  return watches;
}

}  // namespace patchbay::engine
