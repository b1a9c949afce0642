#include "vault/connections.hpp"

#include <algorithm>
#include <cctype>
#include <mutex>
#include <unordered_map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/json.hpp"
#include "core/log.hpp"

namespace patchbay::vault {
namespace {

using store::Param;
using store::Row;
using store::Transaction;

constexpr std::size_t kLongestName = 80;
constexpr std::size_t kLongestField = 8 << 10;

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

// {"token":"..."}. Written into one buffer that is large enough, so that no copy stays behind when it grows.
Secret to_payload(const std::map<std::string, Secret>& fields) {
  std::size_t size = 2;
  for (const auto& [name, value] : fields) size += 6 * (name.size() + value.reveal().size()) + 6;
  std::string text;
  text.reserve(size);
  for (const auto& [name, value] : fields) {
    text += text.empty() ? '{' : ',';
    append_json_quoted(text, name);
    text += ':';
    append_json_quoted(text, value.reveal());
  }
  text += text.empty() ? "{}" : "}";
  Secret payload(text);
  wipe(text);
  return payload;
}

// nullopt: not an object of strings.
std::optional<std::map<std::string, Secret>> from_payload(const Secret& payload) {
  auto object = nlohmann::json::parse(payload.reveal(), nullptr, false);
  if (!object.is_object()) return std::nullopt;
  std::map<std::string, Secret> fields;
  bool strings = true;
  for (auto& [name, value] : object.items()) {
    strings = strings && value.is_string();
    if (!value.is_string()) continue;
    auto& text = value.get_ref<std::string&>();
    fields.emplace(name, Secret(text));
    wipe(text);
  }
  if (!strings) return std::nullopt;
  return fields;
}

bool has_control_character(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

bool is_same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
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
    if (close == std::string_view::npos || field == fields.end())
      return fail(Errc::invalid, "the connection has no " + name);
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
    std::string scheme;  // its id in the manifest
    std::string header;  // empty: nothing is added
    Secret value;
    std::string fault;  // why it cannot be used though it is active; empty: it can
  };
  std::mutex mutex;
  std::unordered_map<ConnectionId, Ready> ready;  // guarded by mutex

  std::shared_ptr<const plugin::Manifest> manifest(std::string_view provider) const {
    return registry == nullptr ? nullptr : registry->manifest(provider);
  }

  // Shares the manifest's life.
  std::shared_ptr<const plugin::AuthScheme> scheme(std::string_view provider, std::string_view type) const {
    const auto of = manifest(provider);
    if (!of) return nullptr;
    const auto found =
        std::find_if(of->auth.begin(), of->auth.end(), [&](const auto& auth) { return auth.type == type; });
    return found == of->auth.end() ? nullptr : std::shared_ptr<const plugin::AuthScheme>(of, &*found);
  }

  // A credential that does not fit the manifest (the plugin was updated) is that connection's fault and nobody else's:
  // its requests are refused and say why, rather than go out without it.
  void keep(const Connection& connection, const std::map<std::string, Secret>& fields) {
    Ready made{connection.provider, connection.state, "", "", Secret(), ""};
    const auto auth = scheme(connection.provider, connection.auth_type);
    if (!auth) {
      made.fault = fmt::format("{} has no auth type '{}' now: connect the account again", connection.provider,
                               connection.auth_type);
    } else {
      made.scheme = auth->id;
      auto value = expand(auth->inject_value, fields);
      if (value && !auth->inject_header.empty()) {
        made.header = auth->inject_header;
        made.value = *std::move(value);
      }
      if (!value) made.fault = value.error().message + ": connect the account again";
    }
    if (!made.fault.empty()) log::warn("vault", "connection {}: {}", connection.id.to_string(), made.fault);
    const std::lock_guard lock(mutex);
    ready.insert_or_assign(connection.id, std::move(made));
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
  // nil: all.
  Result<> load(ConnectionId only);
};

Result<> Connections::Impl::check(const NewConnection& wanted) const {
  if (wanted.name.empty() || wanted.name.size() > kLongestName || !is_valid_utf8(wanted.name) ||
      has_control_character(wanted.name)) {
    return fail(Errc::invalid,
                fmt::format("a connection's name has 1 to {} bytes of UTF-8, and no control characters", kLongestName));
  }
  const auto of = manifest(wanted.provider);
  if (!of) return fail(Errc::invalid, "there is no provider '" + wanted.provider + "'");
  const auto auth = scheme(wanted.provider, wanted.auth_type);
  if (!auth) {
    std::string types;
    for (const auto& known : of->auth) types += (types.empty() ? "" : ", ") + known.type;
    return fail(Errc::invalid, fmt::format("{} has no auth type '{}'; it has: {}", wanted.provider, wanted.auth_type,
                                           types.empty() ? "none" : types));
  }
  for (const auto& field : auth->fields) {
    const auto given = wanted.fields.find(field);
    if (given == wanted.fields.end() || given->second.empty())
      return fail(Errc::invalid, fmt::format("auth.{} is missing", field));
    const auto value = given->second.reveal();
    // It goes into a header: a line break would begin another one.
    if (value.size() > kLongestField || !is_valid_utf8(value) || has_control_character(value)) {
      return fail(Errc::invalid, fmt::format("auth.{} has at most {} bytes of UTF-8, and no line breaks or other "
                                             "control characters",
                                             field, kLongestField));
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

Result<> Connections::load() { return impl_->load({}); }

Result<> Connections::Impl::load(ConnectionId only) {
  struct Sealed {
    Connection connection;
    std::string envelope;
  };
  std::vector<Sealed> all;
  const auto id = only.is_nil() ? "" : only.to_string();
  auto read = database.read([&](Transaction& transaction) -> Result<> {
    all.clear();
    auto rows = transaction.execute(
        "SELECT c.id, c.user_id, c.provider, c.name, c.auth_type, c.state, c.created_at, c.updated_at, v.sealed "
        "FROM connections c JOIN credentials v ON v.connection_id = c.id WHERE v.state = 'active' AND (c.id = $1 OR $1 = '')",
        {std::string_view(id)}, [&](const Row& row) {
          all.push_back({to_connection(row), std::string(row.blob(8))});
        });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return read;
  for (const auto& [connection, envelope] : all) {
    auto payload = vault.open_envelope(envelope, credential_purpose(connection.id, connection.user));
    if (!payload) {
      return fail(payload.error().code, fmt::format("the credentials of connection '{}' cannot be read: {}",
                                                    connection.name, payload.error().message));
    }
    const auto fields = from_payload(*payload);
    if (!fields) return fail(Errc::internal, "the credentials of connection '" + connection.name + "' are damaged");
    keep(connection, *fields);
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
  const auto sealed = impl_->vault.seal(to_payload(wanted.fields), credential_purpose(connection.id, user));
  if (!sealed) return std::unexpected(sealed.error());
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
        {std::string_view(credential), std::string_view(id), store::Blob{*sealed}, micros(now)});
    if (!added) return std::unexpected(added.error());
    return {};
  });
  if (!written && written.error().code == Errc::conflict) {
    return fail(Errc::conflict, fmt::format("there is a connection '{}' already", connection.name));
  }
  if (!written) return std::unexpected(written.error());
  impl_->keep(connection, wanted.fields);
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
    auto rows = transaction.execute(
        "SELECT 1 FROM watches WHERE connection_id = $1 AND user_id = $2 AND status = 'active' LIMIT 1",
        {std::string_view(text), std::string_view(owner)}, [&](const Row&) { used = true; });
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
  std::unique_lock lock(impl_->mutex);
  auto found = impl_->ready.find(request.connection);
  if (found == impl_->ready.end() && impl_->database.is_shared()) {  // another host may have made it
    lock.unlock();
    if (auto loaded = impl_->load(request.connection); !loaded) return loaded;
    lock.lock();
    found = impl_->ready.find(request.connection);
  }
  if (found == impl_->ready.end())
    return fail(Errc::unauthenticated, "the connection is no more: connect the account again");
  const auto& ready = found->second;
  if (ready.provider != request.provider) {
    return fail(Errc::denied, fmt::format("a connection of {} is not sent to {}", ready.provider, request.provider));
  }
  if (ready.state != "active") return fail(Errc::unauthenticated, "the connection is " + ready.state);
  if (!ready.fault.empty()) return fail(Errc::unauthenticated, ready.fault);
  if (!request.auth.empty() && request.auth != ready.scheme) {
    return fail(Errc::unauthenticated, fmt::format("{} asks for auth '{}', the connection has '{}'", ready.provider,
                                                   request.auth, ready.scheme));
  }
  if (ready.header.empty()) return {};
  std::erase_if(request.headers, [&](const auto& header) { return is_same_name(header.first, ready.header); });
  request.headers.emplace_back(ready.header, std::string(ready.value.reveal()));
  return {};
}

}  // namespace patchbay::vault
