#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/database.hpp"
#include "vault/connection.hpp"

namespace patchbay::vault {

// Connections and what belongs to them, as rows. Each call is part of the caller's transaction.

struct SealedConnection {
  Connection connection;
  std::string envelope;  // of the active credential
};

[[nodiscard]] Result<std::vector<Connection>> connections_of(store::Transaction& transaction, UserId user);
// Errc::not_found.
[[nodiscard]] Result<Connection> connection_row(store::Transaction& transaction, ConnectionId id);
[[nodiscard]] Result<Connection> connection_row(store::Transaction& transaction, UserId user, ConnectionId id);
[[nodiscard]] Result<Connection> connection_row(store::Transaction& transaction, UserId user, std::string_view name);
// nullopt: this account is not linked yet.
[[nodiscard]] Result<std::optional<Connection>> connection_of_account(store::Transaction& transaction, const Connection& like);
// With their credentials; nil: all of them.
[[nodiscard]] Result<std::vector<SealedConnection>> sealed_rows(store::Transaction& transaction, ConnectionId only);

// Errc::conflict: the name is taken, or the account is linked.
[[nodiscard]] Result<> insert_connection(store::Transaction& transaction, const Connection& connection);
// All but what it is: provider, owner, times of creation. Gives up the turn to refresh.
[[nodiscard]] Result<> update_connection(store::Transaction& transaction, const Connection& connection);
// connection.version, as the active one; those before it lose their secret.
[[nodiscard]] Result<> insert_credential(store::Transaction& transaction, const Connection& connection, std::string_view envelope);

// Takes the turn to refresh until then. false: another host has it.
[[nodiscard]] Result<bool> take_turn(store::Transaction& transaction, ConnectionId id, std::string_view host, Timestamp now, Timestamp until);

// Changes state and why, with the entry in the audit log and what its owner should know. Errc::conflict: there is no way
// from the one to the other.
[[nodiscard]] Result<> change_state(store::Transaction& transaction, Connection& connection, ConnectionState to, std::string why,
                                    std::string_view actor, Timestamp now);

// What was granted, beside what was before: noted when it differs.
[[nodiscard]] Result<> note_grant(store::Transaction& transaction, ConnectionId id, const Scopes& before, const Scopes& after, Timestamp now);
[[nodiscard]] Result<> note_grant_change(store::Transaction& transaction, ConnectionId id, std::string_view kind, const Scopes& scopes, Timestamp now);

[[nodiscard]] Result<> add_audit_entry(store::Transaction& transaction, UserId user, std::string_view actor, std::string_view action,
                                       std::string_view subject, std::string_view detail, Timestamp now);

}  // namespace patchbay::vault
