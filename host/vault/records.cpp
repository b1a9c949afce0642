#include "vault/records.hpp"

namespace patchbay::vault {
namespace {

using store::Param;
using store::Row;
using store::Transaction;

// Behind every id, as the first page begins.
std::string_view cursor(const std::string& before) { return before.empty() ? std::string_view("g") : std::string_view(before); }

template <class Record, class Read>
Result<std::vector<Record>> list(store::Database& database, std::string_view sql, std::initializer_list<Param> params, Read read) {
  std::vector<Record> all;
  auto done = database.read([&](Transaction& transaction) -> Result<> {
    all.clear();
    auto rows = transaction.execute(sql, params, [&](const Row& row) { all.push_back(read(row)); });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!done) return std::unexpected(done.error());
  return all;
}

}  // namespace

Result<std::vector<Notification>> list_notifications(store::Database& database, UserId user, int limit, const std::string& before) {
  return list<Notification>(database,
                            "SELECT id, kind, subject, message, created_at, read_at FROM notifications WHERE user_id = $1 AND id < $2 "
                            "ORDER BY id DESC LIMIT $3",
                            {std::string_view(user.to_string()), cursor(before), std::int64_t{limit}}, [](const Row& row) {
                              return Notification{std::string(row.text(0)), std::string(row.text(1)), std::string(row.text(2)), std::string(row.text(3)),
                                                  from_micros(row.integer(4)),
                                                  row.is_null(5) ? std::nullopt : std::optional(from_micros(row.integer(5)))};
                            });
}

Result<> mark_read(store::Database& database, UserId user, const std::string& id, Timestamp now) {
  return database.write([&](Transaction& transaction) -> Result<> {
    auto changed = transaction.execute("UPDATE notifications SET read_at = COALESCE(read_at, $3) WHERE id = $1 AND user_id = $2",
                                       {std::string_view(id), std::string_view(user.to_string()), micros(now)});
    if (!changed) return std::unexpected(changed.error());
    if (*changed == 0) return fail(Errc::not_found, "there is no notification " + id);
    return {};
  });
}

Result<std::vector<AuditEntry>> list_audit_entries(store::Database& database, UserId user, int limit, const std::string& before) {
  return list<AuditEntry>(database,
                          "SELECT id, actor, action, subject, detail, created_at FROM audit_entries WHERE user_id = $1 AND id < $2 "
                          "ORDER BY id DESC LIMIT $3",
                          {std::string_view(user.to_string()), cursor(before), std::int64_t{limit}}, [](const Row& row) {
                            return AuditEntry{std::string(row.text(0)), std::string(row.text(1)), std::string(row.text(2)), std::string(row.text(3)),
                                              std::string(row.text(4)), from_micros(row.integer(5))};
                          });
}

Result<std::vector<GrantChange>> grant_changes(store::Database& database, ConnectionId connection) {
  return list<GrantChange>(database, "SELECT kind, scopes, created_at FROM grant_changes WHERE connection_id = $1 ORDER BY id",
                           {std::string_view(connection.to_string())}, [](const Row& row) {
                             return GrantChange{std::string(row.text(0)), parse_scopes(row.text(1)), from_micros(row.integer(2))};
                           });
}

Result<std::vector<FlowId>> flows_listening_with(store::Database& database, UserId user, ConnectionId connection) {
  return list<FlowId>(database, "SELECT DISTINCT flow_id FROM watches WHERE connection_id = $1 AND user_id = $2 AND status = 'active'",
                      {std::string_view(connection.to_string()), std::string_view(user.to_string())},
                      [](const Row& row) { return FlowId::parse(row.text(0)).value_or(FlowId{}); });
}

}  // namespace patchbay::vault
