#pragma once

#include <string>

#include "vault/accounts.hpp"
#include "vault/connections.hpp"
#include "vault/vault.hpp"

namespace patchbay::vault {

using AuthorizationId = Id<struct AuthorizationTag>;

// A sign-in at a provider that somebody wants.
struct AuthorizationWish {
  std::string provider;
  std::string auth;  // the scheme; empty: the first that can do the grant
  plugin::OAuthGrant grant = plugin::OAuthGrant::authorization_code;
  std::string name;            // of the connection; empty: after the account
  std::optional<Scopes> scopes;  // nullopt: what all the provider's operations need
  ConnectionId connection;     // that is to be signed in again; nil: a new one
};

// One that was begun.
struct Authorization {
  AuthorizationId id;
  std::string status;  // pending, completed, failed, expired
  std::string error;
  ConnectionId connection;  // completed: the one that came of it
  Timestamp expires;
  // Told once, when it begins: where the person has to go.
  std::string url = {};
  std::string user_code = {};
  std::string verification_uri = {};
  std::string verification_uri_complete = {};
  std::chrono::seconds interval{0};
};

// Signing in with OAuth: authorization code with PKCE, device code, and the grants that need nobody. What is under way is in
// the store, so any host can go on with it. Blocking, on any thread but the loop's.
class Authorizations {
 public:
  // All outlive it.
  Authorizations(store::Database& database, const Vault& vault, const Clock& clock, Connections& connections, Accounts& accounts)
      : database_(database), vault_(vault), clock_(clock), connections_(connections), accounts_(accounts) {}
  // Where providers send people back to: "https://example.org/oauth2/callback". Before the first begin().
  void set_callback_url(std::string url) { callback_url_ = std::move(url); }
  void set_lifetime(Duration lifetime) { lifetime_ = lifetime; }  // of one that nobody finishes; likewise

  // Errc::invalid: what is wrong with the wish; exhausted: too many are under way; else as the provider answers.
  Result<Authorization> begin(UserId user, const AuthorizationWish& wish);
  // How it stands.
  Result<Authorization> find(UserId user, AuthorizationId id);
  // Asks providers whether people have agreed to device codes, of those whose interval is over. Every second or so.
  Result<> ask_devices();
  // Somebody came back. Errc::denied: the state is unknown, used or expired, or the provider said no.
  Result<Connection> come_back(const std::string& state, const std::string& code, const std::string& error);

 private:
  struct Row;
  Result<Authorization> begin_code(Row row, const OAuthParty& party);
  Result<Authorization> begin_device(Row row, const OAuthParty& party);
  Result<Authorization> begin_alone(const Row& row, const OAuthParty& party);
  Result<> insert(const Row& row);
  Result<Connection> exchange(const Row& row, const OAuthParty& party, Form form);
  Result<Connection> connect(const Row& row, Tokens tokens, Fields fields);
  Result<Connection> take(const Row& row, Result<Connection> outcome);
  Result<> ask_device(Row& row);
  Result<> expire(const Row& row);
  [[nodiscard]] Authorization shown(const Row& row) const;

  store::Database& database_;
  const Vault& vault_;
  const Clock& clock_;
  Connections& connections_;
  Accounts& accounts_;
  std::string callback_url_;
  Duration lifetime_ = std::chrono::minutes{15};
};

}  // namespace patchbay::vault
