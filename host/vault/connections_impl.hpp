// Of connections*.cpp only.
#pragma once

#include <mutex>
#include <unordered_map>

#include "vault/connection_rows.hpp"
#include "vault/connections.hpp"
#include "vault/purpose.hpp"
#include "vault/request_credentials.hpp"

namespace patchbay::vault {

struct Connections::Impl {
  store::Database& database;
  const Vault& vault;
  const Clock& clock;
  ConnectionSettings settings;
  const plugin::Registry* registry = nullptr;
  std::function<void(ConnectionId)> active = [](ConnectionId) {};

  // What authorize() adds, made once: the loop must not wait for the database.
  struct Ready {
    Connection connection;
    RequestCredentials credentials;
    std::string fault;  // why it cannot be used though it is active; empty: it can
    Duration lead{};
    bool renewable = false;
  };
  mutable std::mutex mutex;
  std::unordered_map<ConnectionId, Ready> ready;  // guarded by mutex
  Timestamp looked;                               // at what others have changed

  std::shared_ptr<const plugin::Manifest> manifest(std::string_view provider) const {
    return registry == nullptr ? nullptr : registry->manifest(provider);
  }
  Result<plugin::AuthScheme> scheme(const std::string& provider, const std::string& auth_or_type) const;
  const ProviderAccess* access(const std::string& provider) const {
    const auto found = settings.providers.find(provider);
    return found == settings.providers.end() ? nullptr : &found->second;
  }

  // What `query` finds in one snapshot.
  template <class Query>
  std::invoke_result_t<Query, store::Transaction&> read(Query query) const {
    std::invoke_result_t<Query, store::Transaction&> found = fail(Errc::internal, "nothing was read");
    auto done = database.read([&](store::Transaction& transaction) -> Result<> {
      found = query(transaction);
      return found ? Result<>{} : std::unexpected(found.error());
    });
    if (!done) return std::unexpected(done.error());
    return found;
  }

  Result<> check(const NewConnection& wanted) const;
  void keep(const Connection& connection, const Fields& fields);
  void keep(const Connection& connection);  // its state; the credential is the same
  Result<Fields> open(const SealedConnection& sealed) const;
  // The connection that somebody signs in to: its id, and what it was before; none: a new one.
  Result<std::optional<Connection>> target(store::Transaction& transaction, const SignedIn& account, const std::string& auth) const;
  Result<> store_sign_in(store::Transaction& transaction, const SignedIn& account, Connection& made, const std::optional<Connection>& before,
                         std::string_view sealed);
  Result<> keep_refresh_token(ConnectionId id, Fields& fields) const;
  Result<Fields> read_fields(const SealedConnection& sealed, Result<Secret> payload) const;
  Result<> load(ConnectionId only);  // nil: all
  // Reads, changes and writes the connection in one transaction, and keeps what came of it.
  Result<Connection> change(ConnectionId id, const std::function<Result<>(store::Transaction&, Connection&)>& work);
  Result<Connection> move(ConnectionId id, UserId owner, ConnectionState to);
};

}  // namespace patchbay::vault
