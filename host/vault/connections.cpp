// Which connections there are, and what of them is in memory.
#include <algorithm>

#include <fmt/format.h>

#include "core/json.hpp"
#include "core/log.hpp"
#include "vault/connections_impl.hpp"

namespace patchbay::vault {
namespace {

using store::Transaction;

constexpr std::size_t kLongestName = 80;
constexpr std::size_t kLongestField = 16 << 10;  // a service account's key, a certificate chain
constexpr Duration kClockSlack = std::chrono::minutes{1};  // between hosts

bool has_control_character(std::string_view text, bool lines) {
  return std::ranges::any_of(text, [lines](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && !(lines && (c == '\n' || c == '\r'))) || c == 0x7F;
  });
}

Result<> check_name(const std::string& name) {
  if (!name.empty() && name.size() <= kLongestName && is_valid_utf8(name) && !has_control_character(name, false)) return {};
  return fail(Errc::invalid, fmt::format("a connection's name has 1 to {} bytes of UTF-8, and no control characters", kLongestName));
}

// PEM has lines; everything else goes into a header or a URL, where a line break would begin another one.
Result<> check_field(const std::string& name, const Secret& secret) {
  const auto value = secret.reveal();
  const bool pem = value.starts_with("-----BEGIN ") || value.starts_with("{");
  if (value.size() <= kLongestField && is_valid_utf8(value) && !has_control_character(value, pem)) return {};
  return fail(Errc::invalid, fmt::format("auth.{} has at most {} bytes of UTF-8, and no line breaks or other control characters", name, kLongestField));
}

// Without asking a person.
bool is_renewable(const plugin::AuthScheme& scheme, const Fields& fields) {
  if (!scheme.oauth) return false;
  return fields.contains("refresh_token") || fields.contains("private_key") || fields.contains("grant");
}

}  // namespace

// A credential that does not fit the manifest (the plugin was updated) is that connection's fault and nobody else's: its
// requests are refused and say why, rather than go out without it.
void Connections::Impl::keep(const Connection& connection, const Fields& fields) {
  Ready made{connection, {}, "", {}, false};
  const auto of = manifest(connection.provider);
  const auto* found = of == nullptr ? nullptr : of->scheme(connection.auth.empty() ? connection.auth_type : connection.auth);
  if (found != nullptr && found->type != connection.auth_type) found = nullptr;
  if (found == nullptr) {
    made.fault = fmt::format("{} has no auth type '{}' now: connect the account again", connection.provider, connection.auth_type);
  } else {
    made.connection.auth = found->id;
    made.renewable = is_renewable(*found, fields);
    if (found->oauth) made.lead = found->oauth->lead;
    if (connection.expires) made.lead = std::min(made.lead, (*connection.expires - connection.updated) / 2);  // of tokens that live short
    const bool has_no_token_yet = made.renewable && !fields.contains("access_token");  // its first request brings one
    auto credentials = has_no_token_yet ? RequestCredentials() : RequestCredentials::make(*found, fields);
    if (credentials) made.credentials = *std::move(credentials);
    else made.fault = credentials.error().message + ": connect the account again";
  }
  if (!made.fault.empty()) log::warn("vault", "connection {}: {}", connection.id.to_string(), made.fault);
  const std::lock_guard lock(mutex);
  ready.insert_or_assign(connection.id, std::move(made));
}

void Connections::Impl::keep(const Connection& connection) {
  const std::lock_guard lock(mutex);
  const auto found = ready.find(connection.id);
  if (found == ready.end()) return;
  auto auth = std::move(found->second.connection.auth);
  found->second.connection = connection;
  found->second.connection.auth = std::move(auth);
}

Result<Fields> Connections::Impl::read_fields(const SealedConnection& sealed, Result<Secret> payload) const {
  const auto& name = sealed.connection.name;
  if (!payload) return fail(payload.error().code, fmt::format("the credentials of connection '{}' cannot be read: {}", name, payload.error().message));
  auto fields = from_payload(*payload);
  if (!fields) return fail(Errc::internal, "the credentials of connection '" + name + "' are damaged");
  return *std::move(fields);
}

Result<Fields> Connections::Impl::open(const SealedConnection& sealed) const {
  return read_fields(sealed, vault.open_envelope(sealed.envelope, credential_purpose(sealed.connection.id, sealed.connection.user)));
}

Result<> Connections::Impl::keep_refresh_token(ConnectionId id, Fields& fields) const {
  const auto before = read([&](Transaction& transaction) { return sealed_rows(transaction, id); });
  if (!before) return std::unexpected(before.error());
  if (before->empty()) return {};
  const auto known = open(before->front());
  if (!known) return {};  // it cannot be read any more, and is being replaced
  if (const auto token = known->find("refresh_token"); token != known->end()) fields.insert_or_assign("refresh_token", token->second);
  return {};
}

Result<> Connections::Impl::load(ConnectionId only) {
  const auto all = read([&](Transaction& transaction) { return sealed_rows(transaction, only); });
  if (!all) return std::unexpected(all.error());
  if (!only.is_nil() && all->empty()) {
    const std::lock_guard lock(mutex);
    ready.erase(only);
    return fail(Errc::not_found, "there is no connection " + only.to_string());
  }
  std::vector<Sealed> sealed;
  for (const auto& one : *all) sealed.push_back({one.envelope, credential_purpose(one.connection.id, one.connection.user)});
  auto opened = vault.open_all(sealed);  // few calls, where a provider is remote
  for (std::size_t i = 0; i < all->size(); ++i) {
    const auto fields = read_fields((*all)[i], std::move(opened[i]));
    if (!fields) return std::unexpected(fields.error());
    keep((*all)[i].connection, *fields);
  }
  return {};
}

Result<> Connections::Impl::check(const NewConnection& wanted) const {
  if (auto checked = check_name(wanted.name); !checked) return checked;
  const auto auth = scheme(wanted.provider, wanted.auth);
  if (!auth) return std::unexpected(auth.error());
  for (const auto& field : auth->fields) {
    const auto given = wanted.fields.find(field);
    if (given == wanted.fields.end() || given->second.empty()) return fail(Errc::invalid, fmt::format("auth.{} is missing", field));
  }
  for (const auto& [name, value] : wanted.fields) {
    const bool known = std::ranges::find(auth->fields, name) != auth->fields.end() ||
                       std::ranges::find(auth->optional_fields, name) != auth->optional_fields.end();
    if (!known) return fail(Errc::invalid, fmt::format("{} has no field auth.{}", wanted.provider, name));
    if (auto checked = check_field(name, value); !checked) return checked;
  }
  return {};
}

Connections::Connections(store::Database& database, const Vault& vault, const Clock& clock, ConnectionSettings settings)
    : impl_(new Impl{.database = database, .vault = vault, .clock = clock, .settings = std::move(settings), .mutex = {}, .ready = {}, .looked = clock.now()}) {}
Connections::~Connections() = default;

void Connections::use_manifests(const plugin::Registry& registry) { impl_->registry = &registry; }
void Connections::on_active(std::function<void(ConnectionId)> callback) { impl_->active = std::move(callback); }

Result<> Connections::load() { return impl_->load({}); }
Result<> Connections::load(ConnectionId id) { return impl_->load(id); }

Result<> Connections::load_changed() {
  std::vector<std::pair<ConnectionId, Connection>> changed;
  const auto now = impl_->clock.now();
  auto read = impl_->database.read([&](Transaction& transaction) -> Result<> {
    changed.clear();
    auto rows = transaction.execute("SELECT id, state, version, updated_at FROM connections WHERE updated_at >= $1",
                                    {micros(impl_->looked - kClockSlack)}, [&](const store::Row& row) {
                                      Connection at;
                                      at.state = parse_connection_state(row.text(1)).value_or(ConnectionState::disconnected);
                                      at.version = static_cast<int>(row.integer(2));
                                      at.updated = from_micros(row.integer(3));
                                      if (const auto id = ConnectionId::parse(row.text(0))) changed.emplace_back(*id, at);
                                    });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return read;
  impl_->looked = now;
  for (const auto& [id, there] : changed) {
    bool was_well = true;
    {
      const std::lock_guard lock(impl_->mutex);
      const auto known = impl_->ready.find(id);
      if (known == impl_->ready.end()) continue;  // it is read when it is needed
      const auto& here = known->second.connection;
      if (here.version == there.version && here.state == there.state && here.updated == there.updated) continue;
      was_well = here.state == ConnectionState::active;
    }
    if (auto loaded = impl_->load(id); !loaded && loaded.error().code != Errc::not_found) return loaded;
    if (!was_well && there.state == ConnectionState::active) impl_->active(id);
  }
  return {};
}

Result<Connection> Connections::create(UserId user, NewConnection wanted) {
  if (auto checked = impl_->check(wanted); !checked) return std::unexpected(checked.error());
  const auto scheme = impl_->scheme(wanted.provider, wanted.auth);
  if (auto usable = RequestCredentials::make(*scheme, wanted.fields); !usable && !scheme->oauth) {
    return fail(Errc::invalid, "auth: " + usable.error().message);
  }
  // An application's own credentials: a token is asked for with them when it is needed.
  const bool without_token = scheme->oauth && !wanted.fields.contains("access_token");
  if (without_token && !wanted.fields.contains("private_key")) wanted.fields.insert_or_assign("grant", Secret("client_credentials"));
  return sign_in({.user = user,
                  .provider = wanted.provider,
                  .auth = scheme->id,
                  .name = wanted.name,
                  .connection = {},
                  .fields = std::move(wanted.fields),
                  .account_id = "",
                  .account_name = "",
                  .scopes = std::nullopt,
                  .expires = without_token ? std::optional(impl_->clock.now()) : std::nullopt});
}

Result<std::optional<Connection>> Connections::Impl::target(Transaction& transaction, const SignedIn& account, const std::string& auth) const {
  if (account.connection.is_nil()) {
    Connection like;
    like.user = account.user;
    like.provider = account.provider;
    like.auth = auth;
    like.account_id = account.account_id;
    return connection_of_account(transaction, like);
  }
  auto wanted = connection_row(transaction, account.user, account.connection);
  if (!wanted) return std::unexpected(wanted.error());
  if (!wanted->account_id.empty() && !account.account_id.empty() && wanted->account_id != account.account_id) {
    return fail(Errc::conflict, fmt::format("connection '{}' is the account {}, and this is {}", wanted->name, wanted->account_name, account.account_name));
  }
  return *std::move(wanted);
}

Result<> Connections::Impl::store_sign_in(Transaction& transaction, const SignedIn& account, Connection& made, const std::optional<Connection>& before,
                                          std::string_view sealed) {
  const auto actor = account.user.to_string();
  if (!before) {
    if (auto added = insert_connection(transaction, made); !added) return added;
  } else {
    made.version = before->version + 1;
    made.state = before->state;
    made.error = before->error;
    auto changed = made.state == ConnectionState::active ? update_connection(transaction, made)
                                                         : change_state(transaction, made, ConnectionState::active, "", actor, clock.now());
    if (!changed) return changed;
    const auto granted = made.scopes.value_or(Scopes{});
    if (auto noted = note_grant(transaction, made.id, before->scopes.value_or(Scopes{}), granted, clock.now()); !noted) return noted;
    if (before->state == ConnectionState::needs_reconsent) {
      if (auto noted = note_grant_change(transaction, made.id, "reconsent_completed", granted, clock.now()); !noted) return noted;
    }
  }
  if (auto added = insert_credential(transaction, made, sealed); !added) return added;
  return add_audit_entry(transaction, account.user, actor, before ? "connection.updated" : "connection.created", made.id.to_string(),
                         fmt::format("{} {}", made.provider, made.account_name), clock.now());
}

// What may ask a remote provider of keys (sealing) stands outside of the transaction that writes.
Result<Connection> Connections::sign_in(SignedIn account) {
  const auto scheme = impl_->scheme(account.provider, account.auth);
  if (!scheme) return std::unexpected(scheme.error());
  const auto now = impl_->clock.now();
  auto before = impl_->read([&](Transaction& transaction) { return impl_->target(transaction, account, scheme->id); });
  if (!before) return std::unexpected(before.error());
  const auto known = *before ? (*before)->id : ConnectionId{};
  Connection made{.id = *before ? known : ConnectionId::make(now), .user = account.user, .provider = account.provider,
                  .name = *before ? (*before)->name : account.name, .auth = scheme->id, .auth_type = scheme->type,
                  .state = ConnectionState::active, .error = {}, .account_id = account.account_id, .account_name = account.account_name,
                  .scopes = account.scopes, .expires = account.expires, .created = now, .updated = now};
  if (made.name.empty()) made.name = fmt::format("{} {}", made.account_name.empty() ? "my" : made.account_name, made.provider);
  if (auto checked = check_name(made.name); !checked) return std::unexpected(checked.error());
  if (*before && scheme->oauth && !account.fields.contains("refresh_token")) {  // Google sends one with the first consent only
    if (auto kept = impl_->keep_refresh_token(made.id, account.fields); !kept) return std::unexpected(kept.error());
  }
  const auto sealed = impl_->vault.seal(to_payload(account.fields), credential_purpose(made.id, made.user));
  if (!sealed) return std::unexpected(sealed.error());
  bool was_well = true;
  bool name_is_taken = false;
  auto written = impl_->database.write([&](Transaction& transaction) -> Result<> {
    auto there = impl_->target(transaction, account, scheme->id);
    if (!there) return std::unexpected(there.error());
    if ((*there ? (*there)->id : ConnectionId{}) != known) return fail(Errc::unavailable, "somebody signs in to this account at the same time: try again");
    was_well = !*there || (*there)->state == ConnectionState::active;
    auto stored = impl_->store_sign_in(transaction, account, made, *there, *sealed);
    name_is_taken = !stored && stored.error().code == Errc::conflict && !*there;
    return stored;
  });
  if (name_is_taken) {
    return fail(Errc::conflict, fmt::format("there is a connection '{}' already", made.name));
  }
  if (!written) return std::unexpected(written.error());
  impl_->keep(made, account.fields);
  if (!was_well) impl_->active(made.id);
  return made;
}

Result<std::vector<Connection>> Connections::list(UserId user) {
  return impl_->read([&](Transaction& transaction) { return connections_of(transaction, user); });
}

Result<Connection> Connections::find(UserId user, ConnectionId id) {
  return impl_->read([&](Transaction& transaction) { return connection_row(transaction, user, id); });
}

Result<Connection> Connections::find(ConnectionId id) {
  return impl_->read([&](Transaction& transaction) { return connection_row(transaction, id); });
}

Result<Connection> Connections::find_by_name(UserId user, std::string_view name) {
  return impl_->read([&](Transaction& transaction) { return connection_row(transaction, user, name); });
}

Result<> Connections::remove(UserId user, ConnectionId id) {
  const auto text = id.to_string();
  const auto owner = user.to_string();
  auto written = impl_->database.write([&](Transaction& transaction) -> Result<> {
    bool used = false;
    auto rows = transaction.execute("SELECT 1 FROM watches WHERE connection_id = $1 AND user_id = $2 AND status = 'active' LIMIT 1",
                                    {std::string_view(text), std::string_view(owner)}, [&](const store::Row&) { used = true; });
    if (!rows) return std::unexpected(rows.error());
    if (used) return fail(Errc::conflict, "an active flow uses the connection: deactivate it first");
    auto removed = transaction.execute("DELETE FROM connections WHERE id = $1 AND user_id = $2", {std::string_view(text), std::string_view(owner)});
    if (!removed) return std::unexpected(removed.error());
    if (*removed == 0) return fail(Errc::not_found, "there is no connection " + text);
    return add_audit_entry(transaction, user, owner, "connection.removed", text, "", impl_->clock.now());
  });
  if (!written) return written;
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->ready.erase(id);
  }
  impl_->active(id);  // what waits for it hears that it waits in vain
  return {};
}

}  // namespace patchbay::vault
