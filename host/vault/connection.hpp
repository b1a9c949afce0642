#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "core/id.hpp"
#include "core/time.hpp"

namespace patchbay::vault {

// How a linked account stands. errored: its provider cannot be reached for a new token, which is tried again by itself;
// pending_reauth: the provider refuses it, a person must sign in again; needs_reconsent: it lacks a permission that is
// needed; disconnected: its owner has switched it off.
enum class ConnectionState { active, disconnected, errored, pending_reauth, needs_reconsent };

[[nodiscard]] std::string_view name_of(ConnectionState state);
[[nodiscard]] std::optional<ConnectionState> parse_connection_state(std::string_view name);
// A state does not become itself.
[[nodiscard]] bool may_become(ConnectionState from, ConnectionState to);

using Scopes = std::vector<std::string>;  // sorted, each once

// Of text with spaces or commas between them.
[[nodiscard]] Scopes parse_scopes(std::string_view text);
[[nodiscard]] std::string to_text(const Scopes& scopes);
// Those of `wanted` that `granted` lacks.
[[nodiscard]] Scopes missing_scopes(const Scopes& granted, const Scopes& wanted);

// A user's linked account.
struct Connection {
  ConnectionId id;
  UserId user;
  std::string provider;
  std::string name;
  std::string auth;       // id of the manifest's scheme: "account"
  std::string auth_type;  // its type: "token"
  ConnectionState state = ConnectionState::active;
  std::string error;  // why it is not active
  std::string account_id = {};    // as the provider calls it; empty: not known
  std::string account_name = {};
  std::optional<Scopes> scopes = {};          // what was granted; nullopt: not known
  std::optional<Timestamp> expires = {};      // of the access token; nullopt: it does not
  std::optional<Timestamp> retry_at = {};     // while errored: when a new token is asked for again
  int version = 1;                            // of the credential that is active
  Timestamp created;
  Timestamp updated;
};

}  // namespace patchbay::vault
