#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/id.hpp"
#include "core/time.hpp"
#include "egress/http_client.hpp"
#include "plugin/registry.hpp"
#include "store/database.hpp"
#include "vault/vault.hpp"

namespace patchbay::vault {

struct Connection {
  ConnectionId id;
  UserId user;
  std::string provider;
  std::string name;
  std::string auth_type;  // as in the manifest: "token"
  std::string state;      // active, disconnected, errored, pending_reauth, needs_reconsent
  Timestamp created;
  Timestamp updated;
};

struct NewConnection {
  std::string provider;
  std::string name;
  std::string auth_type;
  std::map<std::string, Secret> fields;  // "token": ...
};

// Users' linked accounts. Repository calls: any thread, blocking. authorize(): the loop's thread, from a cache that is
// filled by the repository calls and load().
class Connections : public egress::CredentialSource {
 public:
  // Where a registry is needed for the manifests' auth schemes; all outlive it.
  Connections(store::Database& database, const Vault& vault, const Clock& clock);
  ~Connections() override;
  void use_manifests(const plugin::Registry& registry);  // before the first create() or authorize()

  // Decrypts all active credentials into memory. At start.
  Result<> load();

  // Errc::invalid: unknown provider or auth type, a field missing or too much; conflict: the name is taken.
  Result<Connection> create(UserId user, NewConnection connection);
  Result<std::vector<Connection>> list(UserId user);
  Result<Connection> find(UserId user, ConnectionId id);
  Result<Connection> find_by_name(UserId user, std::string_view name);
  // Errc::conflict while an active flow uses it.
  Result<> remove(UserId user, ConnectionId id);

  Result<> authorize(egress::HttpRequest& request) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace patchbay::vault
