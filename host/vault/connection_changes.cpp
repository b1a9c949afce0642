// How connections change: states, and new tokens.
#include <fmt/format.h>

#include "vault/connections_impl.hpp"

namespace patchbay::vault {
namespace {

using store::Transaction;

constexpr std::string_view kHost = "host";

void set_field(Fields& fields, const std::string& name, Secret value) {
  if (!value.empty()) fields.insert_or_assign(name, std::move(value));
}

}  // namespace

Result<Connection> Connections::Impl::change(ConnectionId id, const std::function<Result<>(Transaction&, Connection&)>& work) {
  Connection changed;
  const auto before = [&] {
    const std::lock_guard lock(mutex);
    const auto found = ready.find(id);
    return found == ready.end() ? ConnectionState::active : found->second.connection.state;
  }();
  auto written = database.write([&](Transaction& transaction) -> Result<> {
    auto row = connection_row(transaction, id);
    if (!row) return std::unexpected(row.error());
    changed = *std::move(row);
    return work(transaction, changed);
  });
  if (!written) return std::unexpected(written.error());
  keep(changed);
  if (changed.state == ConnectionState::active && before != ConnectionState::active) active(id);
  return changed;
}

Result<Connection> Connections::Impl::move(ConnectionId id, UserId owner, ConnectionState to) {
  return change(id, [&](Transaction& transaction, Connection& connection) -> Result<> {
    if (connection.user != owner) return fail(Errc::not_found, "there is no connection " + id.to_string());
    if (connection.state == to) return {};
    return change_state(transaction, connection, to, "", owner.to_string(), clock.now());
  });
}

Result<Connection> Connections::disconnect(UserId user, ConnectionId id) { return impl_->move(id, user, ConnectionState::disconnected); }
Result<Connection> Connections::reconnect(UserId user, ConnectionId id) {
  return impl_->change(id, [&](Transaction& transaction, Connection& connection) -> Result<> {
    if (connection.user != user) return fail(Errc::not_found, "there is no connection " + id.to_string());
    if (connection.state == ConnectionState::active) return {};
    if (connection.state != ConnectionState::disconnected) {
      return fail(Errc::conflict, fmt::format("the connection is {}: sign in again", name_of(connection.state)));
    }
    return change_state(transaction, connection, ConnectionState::active, "", user.to_string(), impl_->clock.now());
  });
}

Result<> Connections::refused(ConnectionId id, int version, const std::string& why) {
  auto changed = impl_->change(id, [&](Transaction& transaction, Connection& connection) -> Result<> {
    const bool known = connection.version != version || connection.state == ConnectionState::pending_reauth;
    if (known || !may_become(connection.state, ConnectionState::pending_reauth)) return {};
    return change_state(transaction, connection, ConnectionState::pending_reauth, why, kHost, impl_->clock.now());
  });
  if (!changed) return std::unexpected(changed.error());
  return {};
}

Result<> Connections::lacks(ConnectionId id, const Scopes& missing) {
  auto changed = impl_->change(id, [&](Transaction& transaction, Connection& connection) -> Result<> {
    if (connection.state != ConnectionState::active) return {};
    const auto now = impl_->clock.now();
    if (auto noted = note_grant_change(transaction, id, "reconsent_requested", missing, now); !noted) return noted;
    return change_state(transaction, connection, ConnectionState::needs_reconsent, "it lacks " + to_text(missing), kHost, now);
  });
  if (!changed) return std::unexpected(changed.error());
  return {};
}

Result<> Connections::errored(ConnectionId id, const std::string& why, Timestamp retry_at) {
  auto changed = impl_->change(id, [&](Transaction& transaction, Connection& connection) -> Result<> {
    connection.retry_at = retry_at;
    if (connection.state == ConnectionState::errored) {
      connection.error = why;
      connection.updated = impl_->clock.now();
      return update_connection(transaction, connection);
    }
    if (!may_become(connection.state, ConnectionState::errored)) return update_connection(transaction, connection);
    return change_state(transaction, connection, ConnectionState::errored, why, kHost, impl_->clock.now());
  });
  if (!changed) return std::unexpected(changed.error());
  return {};
}

Result<> Connections::renewed(const Renewal& renewal, Tokens tokens) {
  auto fields = renewal.fields;
  set_field(fields, "access_token", std::move(tokens.access_token));
  set_field(fields, "refresh_token", std::move(tokens.refresh_token));  // else the one before stays good (RFC 6749, 6)
  const auto now = impl_->clock.now();
  const auto sealed = impl_->vault.seal(to_payload(fields), credential_purpose(renewal.connection.id, renewal.connection.user));
  if (!sealed) return std::unexpected(sealed.error());
  auto changed = impl_->change(renewal.connection.id, [&](Transaction& transaction, Connection& connection) -> Result<> {
    if (connection.version != renewal.connection.version) return fail(Errc::conflict, "somebody has signed in meanwhile");
    const auto before = connection.scopes.value_or(Scopes{});
    ++connection.version;
    connection.updated = now;
    connection.expires = tokens.expires_in ? std::optional(now + *tokens.expires_in) : std::nullopt;
    if (tokens.scopes) connection.scopes = tokens.scopes;
    const auto lost = tokens.scopes ? missing_scopes(*tokens.scopes, before) : Scopes{};
    const auto to = lost.empty() ? ConnectionState::active : ConnectionState::needs_reconsent;
    const bool stays = connection.state == to || !may_become(connection.state, to);
    if (stays) {
      if (connection.state == ConnectionState::active) connection.error.clear();
      if (auto updated = update_connection(transaction, connection); !updated) return updated;
    } else if (auto moved = change_state(transaction, connection, to, lost.empty() ? "" : "it has lost " + to_text(lost), kHost, now); !moved) {
      return moved;
    }
    if (auto noted = note_grant(transaction, connection.id, before, connection.scopes.value_or(before), now); !noted) return noted;
    return insert_credential(transaction, connection, *sealed);
  });
  if (!changed) return std::unexpected(changed.error());
  impl_->keep(*changed, fields);
  return {};
}

Result<Turn> Connections::take_turn(ConnectionId id, int seen) {
  std::optional<SealedConnection> sealed;
  bool mine = false;
  const auto now = impl_->clock.now();
  auto written = impl_->database.write([&](Transaction& transaction) -> Result<> {
    auto rows = sealed_rows(transaction, id);
    if (!rows) return std::unexpected(rows.error());
    if (rows->empty()) return fail(Errc::unauthenticated, "the connection is no more: connect the account again");
    sealed = std::move(rows->front());
    mine = false;
    const auto state = sealed->connection.state;
    const bool well = state == ConnectionState::active || state == ConnectionState::errored || state == ConnectionState::needs_reconsent;
    if (sealed->connection.version != seen || !well) return {};
    auto taken = vault::take_turn(transaction, id, impl_->settings.host, now, now + impl_->settings.turn);
    if (!taken) return std::unexpected(taken.error());
    mine = *taken;
    return {};
  });
  if (!written) return std::unexpected(written.error());
  const auto& connection = sealed->connection;
  auto fields = impl_->open(*sealed);
  if (!fields) return std::unexpected(fields.error());
  if (connection.version != seen) {
    impl_->keep(connection, *fields);
    return AlreadyRenewed{};
  }
  if (!mine && (connection.state == ConnectionState::pending_reauth || connection.state == ConnectionState::disconnected)) {
    impl_->keep(connection, *fields);
    return fail(Errc::unauthenticated, fmt::format("the connection is {}", name_of(connection.state)));
  }
  if (!mine) return WaitForOther{};
  auto scheme = impl_->scheme(connection.provider, connection.auth);
  if (!scheme) return std::unexpected(scheme.error());
  auto party = this->party(connection.provider, connection.auth, *fields);
  if (!party) return std::unexpected(party.error());
  return Renewal{connection, *std::move(scheme), *std::move(party), *std::move(fields)};
}

Result<> Connections::give_turn_back(ConnectionId id) {
  return impl_->database.write([&](Transaction& transaction) -> Result<> {
    auto given = transaction.execute("UPDATE connections SET refresh_by = NULL, refresh_until = NULL WHERE id = $1 AND refresh_by = $2",
                                     {std::string_view(id.to_string()), std::string_view(impl_->settings.host)});
    if (!given) return std::unexpected(given.error());
    return {};
  });
}

Result<std::vector<ConnectionId>> Connections::due_for_renewal() {
  std::vector<ConnectionId> due;
  const auto now = impl_->clock.now();
  auto read = impl_->database.read([&](Transaction& transaction) -> Result<> {
    due.clear();
    auto rows = transaction.execute("SELECT id FROM connections WHERE state = 'errored' AND retry_at <= $1 ORDER BY retry_at LIMIT 100", {micros(now)},
                                    [&](const store::Row& row) { due.push_back(ConnectionId::parse(row.text(0)).value_or(ConnectionId{})); });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  const std::lock_guard lock(impl_->mutex);
  for (const auto& [id, one] : impl_->ready) {
    if (!one.renewable || one.connection.state != ConnectionState::active) continue;
    const auto of = impl_->manifest(one.connection.provider);
    const auto* scheme = of == nullptr ? nullptr : of->scheme(one.connection.auth);
    if (scheme == nullptr || !scheme->oauth || !scheme->oauth->keep_alive) continue;
    if (one.connection.updated + *scheme->oauth->keep_alive <= now) due.push_back(id);
  }
  return due;
}

}  // namespace patchbay::vault
