#include "vault/connection_rows.hpp"

#include <fmt/format.h>

namespace patchbay::vault {
namespace {

using store::Param;
using store::Row;
using store::Transaction;

#define PATCHBAY_CONNECTION                                                                                            \
  "SELECT c.id, c.user_id, c.provider, c.name, c.auth, c.auth_type, c.state, c.error, c.account_id, c.account_name, " \
  "c.scopes, c.expires_at, c.retry_at, c.version, c.created_at, c.updated_at"

std::optional<Timestamp> time_at(const Row& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return from_micros(row.integer(column));
}

Param time_or_null(const std::optional<Timestamp>& time) { return time ? Param{micros(*time)} : Param{nullptr}; }
Param text_or_null(const std::string& text) { return text.empty() ? Param{nullptr} : Param{std::string_view(text)}; }

Connection to_connection(const Row& row) {
  return {.id = ConnectionId::parse(row.text(0)).value_or(ConnectionId{}),
          .user = UserId::parse(row.text(1)).value_or(UserId{}),
          .provider = std::string(row.text(2)),
          .name = std::string(row.text(3)),
          .auth = std::string(row.text(4)),
          .auth_type = std::string(row.text(5)),
          .state = parse_connection_state(row.text(6)).value_or(ConnectionState::disconnected),
          .error = std::string(row.text(7)),
          .account_id = std::string(row.text(8)),
          .account_name = std::string(row.text(9)),
          .scopes = row.is_null(10) ? std::nullopt : std::optional(parse_scopes(row.text(10))),
          .expires = time_at(row, 11),
          .retry_at = time_at(row, 12),
          .version = static_cast<int>(row.integer(13)),
          .created = from_micros(row.integer(14)),
          .updated = from_micros(row.integer(15))};
}

Result<> done(const Result<std::int64_t>& result) {
  if (!result) return std::unexpected(result.error());
  return {};
}

Result<Connection> one(Transaction& transaction, std::string_view sql, std::initializer_list<Param> params, const std::string& what) {
  std::optional<Connection> found;
  auto rows = transaction.execute(sql, params, [&](const Row& row) { found = to_connection(row); });
  if (!rows) return std::unexpected(rows.error());
  if (!found) return fail(Errc::not_found, "there is no connection " + what);
  return *std::move(found);
}

// What a person has to do about it; empty: nothing.
std::string advice(const Connection& connection) {
  const auto account = fmt::format("{} ({})", connection.name, connection.provider);
  switch (connection.state) {
    case ConnectionState::pending_reauth:
      return fmt::format("{} must be connected again: {}", account, connection.error);
    case ConnectionState::needs_reconsent:
      return fmt::format("{} needs another permission: {}", account, connection.error);
    case ConnectionState::errored:
      return fmt::format("{} cannot be reached: {}", account, connection.error);
    default:
      return {};
  }
}

Result<> notify(Transaction& transaction, const Connection& connection, Timestamp now) {
  const auto subject = connection.id.to_string();
  const auto user = connection.user.to_string();
  auto dropped = transaction.execute("DELETE FROM notifications WHERE user_id = $1 AND subject = $2 AND read_at IS NULL",
                                     {std::string_view(user), std::string_view(subject)});
  if (!dropped) return std::unexpected(dropped.error());
  const auto message = advice(connection);
  if (message.empty()) return {};
  const auto id = Uuid::make(now).to_string();
  return done(transaction.execute("INSERT INTO notifications (id, user_id, kind, subject, message, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
                                  {std::string_view(id), std::string_view(user), std::string_view("connection"), std::string_view(subject),
                                   std::string_view(message), micros(now)}));
}

}  // namespace

Result<std::vector<Connection>> connections_of(Transaction& transaction, UserId user) {
  std::vector<Connection> all;
  auto rows = transaction.execute(PATCHBAY_CONNECTION " FROM connections c WHERE c.user_id = $1 ORDER BY c.id",
                                  {std::string_view(user.to_string())}, [&](const Row& row) { all.push_back(to_connection(row)); });
  if (!rows) return std::unexpected(rows.error());
  return all;
}

Result<Connection> connection_row(Transaction& transaction, ConnectionId id) {
  return one(transaction, PATCHBAY_CONNECTION " FROM connections c WHERE c.id = $1", {std::string_view(id.to_string())}, id.to_string());
}

Result<Connection> connection_row(Transaction& transaction, UserId user, ConnectionId id) {
  return one(transaction, PATCHBAY_CONNECTION " FROM connections c WHERE c.id = $1 AND c.user_id = $2",
             {std::string_view(id.to_string()), std::string_view(user.to_string())}, id.to_string());
}

Result<Connection> connection_row(Transaction& transaction, UserId user, std::string_view name) {
  return one(transaction, PATCHBAY_CONNECTION " FROM connections c WHERE c.name = $1 AND c.user_id = $2",
             {name, std::string_view(user.to_string())}, fmt::format("'{}'", name));
}

Result<std::optional<Connection>> connection_of_account(Transaction& transaction, const Connection& like) {
  std::optional<Connection> found;
  if (like.account_id.empty()) return found;
  auto rows = transaction.execute(
      PATCHBAY_CONNECTION " FROM connections c WHERE c.user_id = $1 AND c.provider = $2 AND c.auth = $3 AND c.account_id = $4",
      {std::string_view(like.user.to_string()), std::string_view(like.provider), std::string_view(like.auth), std::string_view(like.account_id)},
      [&](const Row& row) { found = to_connection(row); });
  if (!rows) return std::unexpected(rows.error());
  return found;
}

Result<std::vector<SealedConnection>> sealed_rows(Transaction& transaction, ConnectionId only) {
  std::vector<SealedConnection> all;
  const auto id = only.is_nil() ? "" : only.to_string();
  auto rows = transaction.execute(PATCHBAY_CONNECTION ", v.sealed FROM connections c JOIN credentials v ON v.connection_id = c.id "
                                  "WHERE v.state = 'active' AND (c.id = $1 OR $1 = '')",
                                  {std::string_view(id)},
                                  [&](const Row& row) { all.push_back({to_connection(row), std::string(row.blob(16))}); });
  if (!rows) return std::unexpected(rows.error());
  return all;
}

Result<> insert_connection(Transaction& transaction, const Connection& c) {
  const auto scopes = c.scopes ? to_text(*c.scopes) : "";
  return done(transaction.execute(
      "INSERT INTO connections (id, user_id, provider, name, auth, auth_type, state, account_id, account_name, scopes, expires_at, version, "
      "created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)",
      {std::string_view(c.id.to_string()), std::string_view(c.user.to_string()), std::string_view(c.provider), std::string_view(c.name),
       std::string_view(c.auth), std::string_view(c.auth_type), name_of(c.state), text_or_null(c.account_id), text_or_null(c.account_name),
       c.scopes ? Param{std::string_view(scopes)} : Param{nullptr}, time_or_null(c.expires), std::int64_t{c.version}, micros(c.created)}));
}

Result<> update_connection(Transaction& transaction, const Connection& c) {
  const auto scopes = c.scopes ? to_text(*c.scopes) : "";
  return done(transaction.execute(
      "UPDATE connections SET name = $2, auth = $3, auth_type = $4, state = $5, error = $6, account_id = $7, account_name = $8, scopes = $9, "
      "expires_at = $10, retry_at = $11, version = $12, updated_at = $13, refresh_by = NULL, refresh_until = NULL WHERE id = $1",
      {std::string_view(c.id.to_string()), std::string_view(c.name), std::string_view(c.auth), std::string_view(c.auth_type), name_of(c.state),
       text_or_null(c.error), text_or_null(c.account_id), text_or_null(c.account_name),
       c.scopes ? Param{std::string_view(scopes)} : Param{nullptr}, time_or_null(c.expires), time_or_null(c.retry_at), std::int64_t{c.version},
       micros(c.updated)}));
}

Result<> insert_credential(Transaction& transaction, const Connection& connection, std::string_view envelope) {
  const auto of = connection.id.to_string();
  auto retired = transaction.execute("UPDATE credentials SET state = 'expired', sealed = $2 WHERE connection_id = $1 AND state = 'active'",
                                     {std::string_view(of), store::Blob{""}});
  if (!retired) return std::unexpected(retired.error());
  const auto id = CredentialId::make(connection.updated).to_string();
  return done(transaction.execute(
      "INSERT INTO credentials (id, connection_id, version, state, sealed, created_at) VALUES ($1, $2, $3, 'active', $4, $5)",
      {std::string_view(id), std::string_view(of), std::int64_t{connection.version}, store::Blob{envelope}, micros(connection.updated)}));
}

Result<bool> take_turn(Transaction& transaction, ConnectionId id, std::string_view host, Timestamp now, Timestamp until) {
  auto taken = transaction.execute("UPDATE connections SET refresh_by = $2, refresh_until = $4 WHERE id = $1 AND "
                                   "(refresh_by IS NULL OR refresh_by = $2 OR refresh_until < $3)",
                                   {std::string_view(id.to_string()), host, micros(now), micros(until)});
  if (!taken) return std::unexpected(taken.error());
  return *taken == 1;
}

Result<> change_state(Transaction& transaction, Connection& connection, ConnectionState to, std::string why, std::string_view actor, Timestamp now) {
  const auto from = connection.state;
  if (!may_become(from, to)) {
    return fail(Errc::conflict, fmt::format("a connection that is {} cannot become {}", name_of(from), name_of(to)));
  }
  connection.state = to;
  connection.error = std::move(why);
  connection.updated = now;
  if (to != ConnectionState::errored) connection.retry_at.reset();
  if (auto updated = update_connection(transaction, connection); !updated) return updated;
  if (auto told = notify(transaction, connection, now); !told) return told;
  const auto detail = fmt::format("{} -> {}{}{}", name_of(from), name_of(to), connection.error.empty() ? "" : ": ", connection.error);
  return add_audit_entry(transaction, connection.user, actor, "connection.state", connection.id.to_string(), detail, now);
}

Result<> note_grant_change(Transaction& transaction, ConnectionId id, std::string_view kind, const Scopes& scopes, Timestamp now) {
  return done(transaction.execute("INSERT INTO grant_changes (id, connection_id, kind, scopes, created_at) VALUES ($1, $2, $3, $4, $5)",
                                  {std::string_view(Uuid::make(now).to_string()), std::string_view(id.to_string()), kind,
                                   std::string_view(to_text(scopes)), micros(now)}));
}

Result<> note_grant(Transaction& transaction, ConnectionId id, const Scopes& before, const Scopes& after, Timestamp now) {
  const auto more = missing_scopes(before, after);
  const auto less = missing_scopes(after, before);
  if (!more.empty()) {
    if (auto noted = note_grant_change(transaction, id, "expanded", more, now); !noted) return noted;
  }
  if (!less.empty()) return note_grant_change(transaction, id, after.empty() ? "revoked" : "downgraded", less, now);
  return {};
}

Result<> add_audit_entry(Transaction& transaction, UserId user, std::string_view actor, std::string_view action, std::string_view subject,
                         std::string_view detail, Timestamp now) {
  return done(transaction.execute(
      "INSERT INTO audit_entries (id, user_id, actor, action, subject, detail, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
      {std::string_view(Uuid::make(now).to_string()), std::string_view(user.to_string()), actor, action, subject, detail, micros(now)}));
}

}  // namespace patchbay::vault
