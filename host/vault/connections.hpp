#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/error.hpp"
#include "core/id.hpp"
#include "core/time.hpp"
#include "egress/http_client.hpp"
#include "plugin/registry.hpp"
#include "store/database.hpp"
#include "vault/connection.hpp"
#include "vault/fields.hpp"
#include "vault/oauth.hpp"
#include "vault/vault.hpp"

namespace patchbay::vault {

struct NewConnection {
  std::string provider;
  std::string name;
  std::string auth;  // the scheme: its id, or its type
  Fields fields;     // "token": ...
};

// An account that somebody has signed in to.
struct SignedIn {
  UserId user;
  std::string provider;
  std::string auth;         // id of the scheme
  std::string name;         // empty: the account's
  ConnectionId connection;  // the one that signs in again; nil: a new one, or the one that has this account
  Fields fields;
  std::string account_id;
  std::string account_name;
  std::optional<Scopes> scopes;
  std::optional<Timestamp> expires;
};

// What the configuration says about a provider.
struct ProviderAccess {
  std::string base_url;                    // instead of the manifest's
  std::vector<std::string> allowed_hosts;  // more than the manifest's
  // The client that the operator has registered there, and endpoints instead of the manifest's.
  struct Client {
    std::string id;
    Secret secret;
    std::string authorize_url;
    std::string token_url;
    std::string device_url;
    std::string revoke_url;
  } client;
};

struct ConnectionSettings {
  std::map<std::string, ProviderAccess> providers;
  std::string host = "host";              // this one, among those that refresh
  Duration turn = std::chrono::seconds{30};  // that a host has for a refresh
};

// How a connection stands, as far as this host knows.
struct Standing {
  ConnectionState state = ConnectionState::active;
  int version = 0;
  std::optional<Timestamp> expires;
  Duration lead{};
  bool renewable = false;  // the host can get a new token by itself
};

// What a host that wants a new token has to do.
struct Renewal {
  Connection connection;
  plugin::AuthScheme scheme;
  OAuthParty party;
  Fields fields;
};
struct WaitForOther {};    // another host is asking
struct AlreadyRenewed {};  // another one has asked: the cache has it
using Turn = std::variant<Renewal, WaitForOther, AlreadyRenewed>;

// Users' linked accounts. Blocking, any thread, but authorize(), standing() and trouble(), which only look into a table in
// memory and are for the loop.
class Connections : public egress::CredentialSource {
 public:
  // All outlive it.
  Connections(store::Database& database, const Vault& vault, const Clock& clock, ConnectionSettings settings = {});
  ~Connections() override;
  void use_manifests(const plugin::Registry& registry);  // before the first create() or authorize()
  // Called, on any thread, each time a connection has become usable again. Before the first change.
  void on_active(std::function<void(ConnectionId)> callback);

  // Decrypts all active credentials into memory. At start, and after a plugin was replaced.
  Result<> load();
  // Likewise one that another host may have changed. Errc::not_found: it is no more.
  Result<> load(ConnectionId id);
  // Those that others have changed lately.
  Result<> load_changed();

  // Errc::invalid: unknown provider or scheme, a field missing or too much; conflict: the name is taken.
  Result<Connection> create(UserId user, NewConnection connection);
  // Errc::conflict: another connection has the name, or it is another account than the connection's.
  Result<Connection> sign_in(SignedIn account);
  Result<std::vector<Connection>> list(UserId user);
  Result<Connection> find(UserId user, ConnectionId id);
  Result<Connection> find(ConnectionId id);
  Result<Connection> find_by_name(UserId user, std::string_view name);
  // Errc::conflict while an active flow uses it.
  Result<> remove(UserId user, ConnectionId id);

  // The transitions, by their cause. Errc::conflict: not from the present state; a state that it has already is fine.
  Result<Connection> disconnect(UserId user, ConnectionId id);
  Result<Connection> reconnect(UserId user, ConnectionId id);
  Result<> refused(ConnectionId id, int version, const std::string& why);       // -> pending_reauth, unless it is newer
  Result<> errored(ConnectionId id, const std::string& why, Timestamp retry_at);  // -> errored
  Result<> renewed(const Renewal& renewal, Tokens tokens);  // -> active, or needs_reconsent when a grant was lost
  Result<> lacks(ConnectionId id, const Scopes& missing);   // -> needs_reconsent

  // The turn to ask for a new token in the place of version `seen`. Errc::unauthenticated: it cannot be had.
  Result<Turn> take_turn(ConnectionId id, int seen);
  Result<> give_turn_back(ConnectionId id);
  // Those that errored and are due, and those whose tokens die when nobody uses them.
  Result<std::vector<ConnectionId>> due_for_renewal();

  // Whom to ask for tokens. Errc::invalid: no such scheme, or no client is configured.
  Result<OAuthParty> party(const std::string& provider, const std::string& auth, const Fields& fields = {}) const;
  Result<plugin::AuthScheme> scheme(const std::string& provider, const std::string& auth_or_type) const;
  // A request of the manifest, for this provider: its URL completed, its placeholders filled in.
  Result<egress::HttpRequest> declared(const std::string& provider, const plugin::DeclaredRequest& request, const Fields& fields) const;
  // The harmless one that tells whether the connection's credentials are good; nullopt: the manifest names none.
  Result<std::optional<egress::HttpRequest>> test_request(ConnectionId id);
  // auth empty: the first that knows the grant. Errc::invalid: there is none.
  Result<plugin::AuthScheme> scheme_for(const std::string& provider, const std::string& auth, plugin::OAuthGrant grant) const;
  // What all operations of a provider need together.
  [[nodiscard]] Scopes all_scopes(const std::string& provider) const;
  // The credential that is active. Errc::not_found.
  Result<Fields> fields(ConnectionId id);

  Result<> authorize(egress::HttpRequest& request) override;
  [[nodiscard]] std::optional<Standing> standing(ConnectionId id) const;
  // Why an operation that wants these scopes cannot be tried; nullopt: it can, as far as is known.
  struct Trouble {
    std::string why;
    Scopes missing;  // the permissions that it lacks, while it is well otherwise
  };
  [[nodiscard]] std::optional<Trouble> trouble(ConnectionId id, const Scopes& wanted) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace patchbay::vault
