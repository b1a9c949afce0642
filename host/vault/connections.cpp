#include "vault/connections.hpp"

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace patchbay::vault {
namespace {

using store::Param;
using store::Row;
using store::Transaction;

std::string purpose_of(ConnectionId id) { return "credential/" + id.to_string(); }

Connection to_connection(const Row& row) {
  return {.id = ConnectionId::parse(row.text(0)).value_or(ConnectionId{}),
          .user = UserId::parse(row.text(1)).value_or(UserId{}),
          .provider = std::string(row.text(2)),
          .name = std::string(row.text(3)),
          .auth_type = std::string(row.text(4)),
          .state = std::string(row.text(5)),
          .created = from_micros(row.integer(6)),
          .updated = from_micros(row.integer(7))};
}

Secret to_payload(const std::map<std::string, Secret>& fields) {
  nlohmann::json object = nlohmann::json::object();
  for (const auto& [name, value] : fields) object[name] = value.reveal();
  return Secret(object.dump());
}

// "Bearer {token}" with the fields' values. Errc::invalid: one is missing, or would break out of its header.
Result<Secret> expand(std::string_view format, const std::map<std::string, Secret>& fields) {
  std::string text;
  for (std::size_t at = 0; at < format.size();) {
    const auto open = format.find('{', at);
    text += format.substr(at, open - at);
    if (open == std::string_view::npos) break;
    const auto close = format.find('}', open);
    const auto name = std::string(format.substr(open + 1, close - open - 1));
    const auto field = fields.find(name);
    if (close == std::string_view::npos || field == fields.end()) return fail(Errc::invalid, "the connection has no " + name);
    text += field->second.reveal();
    at = close + 1;
  }
  return Secret(std::move(text));
}

}  // namespace

struct Connections::Impl {
  store::Database& database;
  const Vault& vault;
  const Clock& clock;
  const plugin::Registry* registry = nullptr;

  // What authorize() adds, made once: the loop must not wait for the database.
  struct Ready {
    std::string provider;
    std::string state;
    std::string header;
    Secret value;
  };
  std::mutex mutex;
  std::unordered_map<ConnectionId, Ready> ready;  // guarded by mutex

  const plugin::AuthScheme* scheme(std::string_view provider, std::string_view type) const {
    const auto* manifest = registry == nullptr ? nullptr : registry->manifest(provider);
    if (manifest == nullptr) return nullptr;
    const auto found = std::find_if(manifest->auth.begin(), manifest->auth.end(),
                                    [&](const auto& auth) { return auth.type == type; });
    return found == manifest->auth.end() ? nullptr : &*found;
  }

  Result<> keep(const Connection& connection, const std::map<std::string, Secret>& fields) {
    Ready made{connection.provider, connection.state, "", Secret()};
    if (const auto* auth = scheme(connection.provider, connection.auth_type); auth != nullptr && !auth->inject_header.empty()) {
      auto value = expand(auth->inject_value, fields);
      if (!value) return std::unexpected(value.error());
      made.header = auth->inject_header;
      made.value = *std::move(value);
    }
    const std::lock_guard lock(mutex);
    ready.insert_or_assign(connection.id, std::move(made));
    return {};
  }

  Result<Connection> find_one(std::string_view sql, std::initializer_list<Param> params, const std::string& what) {
    std::optional<Connection> found;
    auto read = database.read([&](Transaction& transaction) -> Result<> {
      auto rows = transaction.execute(sql, params, [&](const Row& row) { found = to_connection(row); });
      if (!rows) return std::unexpected(rows.error());
      return {};
    });
    if (!read) return std::unexpected(read.error());
    if (!found) return fail(Errc::not_found, "there is no connection " + what);
    return *std::move(found);
  }

  Result<> check(const NewConnection& wanted) const;
};

Result<> Connections::Impl::check(const NewConnection& wanted) const {
  if (wanted.name.empty() || wanted.name.size() > 80) return fail(Errc::invalid, "a connection's name has 1 to 80 bytes");
  const auto* manifest = registry == nullptr ? nullptr : registry->manifest(wanted.provider);
  if (manifest == nullptr) return fail(Errc::invalid, "there is no provider '" + wanted.provider + "'");
  const auto* auth = scheme(wanted.provider, wanted.auth_type);
  if (auth == nullptr) {
    std::string types;
    for (const auto& known : manifest->auth) types += (types.empty() ? "" : ", ") + known.type;
    return fail(Errc::invalid, fmt::format("{} has no auth type '{}'; it has: {}", wanted.provider, wanted.auth_type,
                                           types.empty() ? "none" : types));
  }
  for (const auto& field : auth->fields) {
    const auto given = wanted.fields.find(field);
    if (given == wanted.fields.end() || given->second.empty()) return fail(Errc::invalid, fmt::format("auth.{} is missing", field));
    const auto value = given->second.reveal();
    if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
      return fail(Errc::invalid, fmt::format("auth.{} holds a line break", field));
    }
  }
  for (const auto& [name, value] : wanted.fields) {
    if (std::find(auth->fields.begin(), auth->fields.end(), name) == auth->fields.end()) {
      return fail(Errc::invalid, fmt::format("{} has no field auth.{}", wanted.provider, name));
    }
  }
  return {};
}

Connections::Connections(store::Database& database, const Vault& vault, const Clock& clock)
    : impl_(new Impl{database, vault, clock, nullptr, {}, {}}) {}
Connections::~Connections() = default;

void Connections::use_manifests(const plugin::Registry& registry) { impl_->registry = &registry; }

Result<> Connections::load() {
  struct Sealed {
    Connection connection;
    std::string envelope;
  };
  std::vector<Sealed> all;
  auto read = impl_->database.read([&](Transaction& transaction) -> Result<> {
    all.clear();
    auto rows = transaction.execute(
        "SELECT c.id, c.user_id, c.provider, c.name, c.auth_type, c.state, c.created_at, c.updated_at, v.sealed "
        "FROM connections c JOIN credentials v ON v.connection_id = c.id WHERE v.state = 'active'",
        {}, [&](const Row& row) { all.push_back({to_connection(row), std::string(row.blob(8))}); });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return read;
  for (const auto& [connection, envelope] : all) {
    auto payload = impl_->vault.open_envelope(envelope, purpose_of(connection.id));
    if (!payload) {
      return fail(payload.error().code, fmt::format("the credentials of connection '{}' cannot be read: {}",
                                                    connection.name, payload.error().message));
    }
    const auto object = nlohmann::json::parse(payload->reveal(), nullptr, false);
    if (!object.is_object()) return fail(Errc::internal, "the credentials of connection '" + connection.name + "' are damaged");
    std::map<std::string, Secret> fields;
    for (const auto& [name, value] : object.items()) fields.emplace(name, Secret(value.get<std::string>()));
    if (auto kept = impl_->keep(connection, fields); !kept) return kept;
  }
  return {};
}

Result<Connection> Connections::create(UserId user, NewConnection wanted) {
  if (auto checked = impl_->check(wanted); !checked) return std::unexpected(checked.error());
  const auto now = impl_->clock.now();
  const Connection connection{.id = ConnectionId::make(now),
                              .user = user,
                              .provider = wanted.provider,
                              .name = wanted.name,
                              .auth_type = wanted.auth_type,
                              .state = "active",
                              .created = now,
                              .updated = now};
  const auto id = connection.id.to_string();
  const auto owner = user.to_string();
  const auto credential = CredentialId::make(now).to_string();
  const auto sealed = impl_->vault.seal(to_payload(wanted.fields), purpose_of(connection.id));
  auto written = impl_->database.write([&](Transaction& transaction) -> Result<> {
    auto added = transaction.execute(
        "INSERT INTO connections (id, user_id, provider, name, auth_type, state, created_at, updated_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
        {std::string_view(id), std::string_view(owner), std::string_view(connection.provider),
         std::string_view(connection.name), std::string_view(connection.auth_type), std::string_view(connection.state),
         micros(now)});
    if (!added) return std::unexpected(added.error());
    added = transaction.execute(
        "INSERT INTO credentials (id, connection_id, version, state, sealed, created_at) "
        "VALUES ($1, $2, 1, 'active', $3, $4)",
        {std::string_view(credential), std::string_view(id), store::Blob{sealed}, micros(now)});
    if (!added) return std::unexpected(added.error());
    return {};
  });
  if (!written && written.error().code == Errc::conflict) {
    return fail(Errc::conflict, fmt::format("there is a connection '{}' already", connection.name));
  }
  if (!written) return std::unexpected(written.error());
  if (auto kept = impl_->keep(connection, wanted.fields); !kept) return std::unexpected(kept.error());
  return connection;
}

Result<std::vector<Connection>> Connections::list(UserId user) {
  std::vector<Connection> all;
  auto read = impl_->database.read([&](Transaction& transaction) -> Result<> {
    all.clear();
    auto rows = transaction.execute(
        "SELECT id, user_id, provider, name, auth_type, state, created_at, updated_at FROM connections "
        "WHERE user_id = $1 ORDER BY id",
        {std::string_view(user.to_string())}, [&](const Row& row) { all.push_back(to_connection(row)); });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  return all;
}

Result<Connection> Connections::find(UserId user, ConnectionId id) {
  return impl_->find_one(
      "SELECT id, user_id, provider, name, auth_type, state, created_at, updated_at FROM connections "
      "WHERE id = $1 AND user_id = $2",
      {std::string_view(id.to_string()), std::string_view(user.to_string())}, id.to_string());
}

Result<Connection> Connections::find_by_name(UserId user, std::string_view name) {
  return impl_->find_one(
      "SELECT id, user_id, provider, name, auth_type, state, created_at, updated_at FROM connections "
      "WHERE name = $1 AND user_id = $2",
      {name, std::string_view(user.to_string())}, fmt::format("'{}'", name));
}

Result<> Connections::remove(UserId user, ConnectionId id) {
  const auto text = id.to_string();
  const auto owner = user.to_string();
  auto written = impl_->database.write([&](Transaction& transaction) -> Result<> {
    bool used = false;
    auto rows = transaction.execute("SELECT 1 FROM watches WHERE connection_id = $1 LIMIT 1", {std::string_view(text)},
                                    [&](const Row&) { used = true; });
    if (!rows) return std::unexpected(rows.error());
    if (used) return fail(Errc::conflict, "an active flow uses the connection: deactivate it first");
    auto removed = transaction.execute("DELETE FROM connections WHERE id = $1 AND user_id = $2",
                                       {std::string_view(text), std::string_view(owner)});
    if (!removed) return std::unexpected(removed.error());
    if (*removed == 0) return fail(Errc::not_found, "there is no connection " + text);
    return {};
  });
  if (!written) return written;
  const std::lock_guard lock(impl_->mutex);
  impl_->ready.erase(id);
  return {};
}

Result<> Connections::authorize(egress::HttpRequest& request) {
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->ready.find(request.connection);
  if (found == impl_->ready.end()) return fail(Errc::unauthenticated, "the connection is no more: connect the account again");
  const auto& ready = found->second;
  if (ready.provider != request.provider) {
    return fail(Errc::denied, fmt::format("a connection of {} is not sent to {}", ready.provider, request.provider));
  }
  if (ready.state != "active") return fail(Errc::unauthenticated, "the connection is " + ready.state);
  if (ready.header.empty()) return {};
  std::erase_if(request.headers, [&](const auto& header) {
    return header.first.size() == ready.header.size() &&
           std::equal(header.first.begin(), header.first.end(), ready.header.begin(),
                      [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b)); });
  });
  request.headers.emplace_back(ready.header, std::string(ready.value.reveal()));
  return {};
}

}  // namespace patchbay::vault
