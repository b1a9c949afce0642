#include "identity/identity.hpp"

#include <exception>

#include <fmt/format.h>
#include <sodium.h>

#include "core/json.hpp"
#include "core/log.hpp"
#include "identity/email.hpp"
#include "identity/passwords.hpp"
#include "identity/token_cache.hpp"

namespace patchbay::identity {
namespace {

using store::Row;
using store::Transaction;

constexpr std::string_view kSessionPrefix = "pbs_";
constexpr std::string_view kKeyPrefix = "pbk_";
constexpr std::size_t kTokenBytes = 32;
constexpr std::size_t kTokenLength = 4 + 43;  // prefix and 32 bytes in base64url
constexpr std::size_t kShownPrefix = 8;
constexpr std::int64_t kSessionsPerUser = 100;  // the oldest are ended
constexpr std::int64_t kKeysPerUser = 100;
constexpr std::size_t kLongestName = 100;
constexpr std::chrono::seconds kCached{5};
constexpr std::size_t kCacheLimit = 4096;
constexpr std::chrono::seconds kLastUsedStep{60};  // how exact an API key's last use is kept

// SHA-256 and nothing slower: a token has 256 random bits, so there is nothing to guess.
std::string hash_of(std::string_view token) {
  std::string hash(crypto_hash_sha256_BYTES, '\0');
  crypto_hash_sha256(reinterpret_cast<unsigned char*>(hash.data()),
                     reinterpret_cast<const unsigned char*>(token.data()), token.size());
  return to_hex(hash);
}

Secret new_token(std::string_view prefix) { return Secret(std::string(prefix) + random_token(kTokenBytes)); }

std::string_view name_of(Role role) { return role == Role::admin ? "admin" : "user"; }
Role role_named(std::string_view name) { return name == "admin" ? Role::admin : Role::user; }

User to_user(const Row& row) {
  return {.id = UserId::parse(row.text(0)).value_or(UserId{}),
          .email = std::string(row.text(1)),
          .role = role_named(row.text(2)),
          .created = from_micros(row.integer(3))};
}

Result<> check_name(std::string_view name) {
  if (name.empty() || name.size() > kLongestName || !is_valid_utf8(name)) {
    return fail(Errc::invalid, fmt::format("a name has 1 to {} bytes of UTF-8", kLongestName));
  }
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
      return fail(Errc::invalid, "a name has no control characters");
  }
  return {};
}

std::unexpected<Error> refuse_token() {
  return fail(Errc::unauthenticated, "the access token or API key is not known, or has expired");
}

}  // namespace

struct Identity::Impl {
  // What a token's row says.
  struct Found {
    Principal principal;
    Timestamp valid_until = Timestamp::max();
    std::optional<ApiKeyId> key;
    std::optional<Timestamp> last_used;
  };

  store::Database& database;
  const Clock& clock;
  IdentitySettings settings;
  Passwords passwords;
  TokenCache cache{kCached, kCacheLimit};

  Impl(store::Database& database_, const Clock& clock_, IdentitySettings settings_)
      : database(database_),
        clock(clock_),
        settings(settings_),
        passwords(settings_.password_memory_kib, settings_.password_passes) {
    if (sodium_init() < 0) std::terminate();  // only where the kernel has no random generator
  }

  Result<User> add(std::string_view email, const Secret& password, Role role);
  Result<AccessToken> begin_session(UserId user);
  void renew_hash(UserId user, const std::string& old_hash, const Secret& password);
  Result<std::optional<Found>> find_session(const std::string& hash);
  Result<std::optional<Found>> find_key(const std::string& hash);
  void note_use(const Found& found, Timestamp now);
};

Identity::Identity(store::Database& database, const Clock& clock, IdentitySettings settings)
    : impl_(std::make_unique<Impl>(database, clock, settings)) {}
Identity::~Identity() = default;

Result<User> Identity::Impl::add(std::string_view email, const Secret& password, Role role) {
  auto address = normalise_email(email);
  if (!address) return std::unexpected(address.error());
  if (auto checked = Passwords::check(password); !checked) return std::unexpected(checked.error());
  auto hash = passwords.hash(password);
  if (!hash) return std::unexpected(hash.error());
  const auto now = clock.now();
  const auto id = UserId::make(now).to_string();
  std::optional<User> user;
  // One statement decides who is the first, so two registrations at once cannot both become admin.
  auto written = database.write([&](Transaction& transaction) -> Result<> {
    auto added = transaction.execute(
        "INSERT INTO users (id, email, password_hash, role, created_at) "
        "VALUES ($1, $2, $3, CASE WHEN EXISTS (SELECT 1 FROM users) THEN $4 ELSE 'admin' END, $5) "
        "RETURNING id, email, role, created_at",
        {std::string_view(id), std::string_view(*address), std::string_view(*hash), name_of(role), micros(now)},
        [&](const Row& row) { user = to_user(row); });
    if (!added) return std::unexpected(added.error());
    return {};
  });
  if (!written && written.error().code == Errc::conflict) {
    return fail(Errc::conflict, "there is a user with this e-mail address");
  }
  if (!written) return std::unexpected(written.error());
  return *std::move(user);
}

Result<User> Identity::register_user(std::string_view email, const Secret& password) {
  if (!impl_->settings.registration_open) {
    return fail(Errc::denied, "registration is closed: ask the administrator for an account");
  }
  return impl_->add(email, password, Role::user);
}

Result<User> Identity::add_user(std::string_view email, const Secret& password, Role role) {
  return impl_->add(email, password, role);
}

Result<User> Identity::find_user(std::string_view email) {
  auto address = normalise_email(email);
  if (!address) return std::unexpected(address.error());
  std::optional<User> user;
  auto read = impl_->database.read([&](Transaction& transaction) -> Result<> {
    auto rows = transaction.execute("SELECT id, email, role, created_at FROM users WHERE email = $1",
                                    {std::string_view(*address)}, [&](const Row& row) { user = to_user(row); });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  if (!user) return fail(Errc::not_found, "there is no user " + *address);
  return *std::move(user);
}

Result<AccessToken> Identity::login(std::string_view email, const Secret& password) {
  const auto& dummy = impl_->passwords.dummy();  // also when it will not be needed, so that its making tells nothing
  const auto address = normalise_email(email);
  UserId user;
  std::string hash;
  if (address) {
    auto read = impl_->database.read([&](Transaction& transaction) -> Result<> {
      hash.clear();
      auto rows = transaction.execute("SELECT id, password_hash FROM users WHERE email = $1",
                                      {std::string_view(*address)}, [&](const Row& row) {
                                        user = UserId::parse(row.text(0)).value_or(UserId{});
                                        hash = row.text(1);
                                      });
      if (!rows) return std::unexpected(rows.error());
      return {};
    });
    if (!read) return std::unexpected(read.error());
  }
  const bool known = !hash.empty();
  // A longer one than anybody can have set would only cost time.
  const bool usable = Passwords::check(password).has_value();
  const bool matches = impl_->passwords.verify(known ? hash : dummy, usable ? password : Secret("too short or long"));
  if (!known || !usable || !matches) return fail(Errc::unauthenticated, "the e-mail address or the password is wrong");
  if (impl_->passwords.is_outdated(hash)) impl_->renew_hash(user, hash, password);
  return impl_->begin_session(user);
}

// The settings were changed since the password was set; only now it is known again.
void Identity::Impl::renew_hash(UserId user, const std::string& old_hash, const Secret& password) {
  auto hash = passwords.hash(password);
  if (!hash) return;
  auto written = database.write([&](Transaction& transaction) -> Result<> {
    auto changed =
        transaction.execute("UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2",
                            {std::string_view(user.to_string()), std::string_view(old_hash), std::string_view(*hash)});
    if (!changed) return std::unexpected(changed.error());
    return {};
  });
  if (!written) log::warn("identity", "a password's hash could not be renewed: {}", written.error().message);
}

Result<AccessToken> Identity::Impl::begin_session(UserId user) {
  const auto now = clock.now();
  const auto id = SessionId::make(now).to_string();
  const auto owner = user.to_string();
  AccessToken made{.token = new_token(kSessionPrefix), .expires_in = settings.session_lifetime};
  const auto hash = hash_of(made.token.reveal());
  auto written = database.write([&](Transaction& transaction) -> Result<> {
    auto ended = transaction.execute(
        "DELETE FROM sessions WHERE user_id = $1 AND (expires_at <= $2 OR id NOT IN "
        "(SELECT id FROM sessions WHERE user_id = $1 ORDER BY id DESC LIMIT $3))",
        {std::string_view(owner), micros(now), kSessionsPerUser - 1});
    if (!ended) return std::unexpected(ended.error());
    auto added = transaction.execute(
        "INSERT INTO sessions (id, user_id, token_hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
        {std::string_view(id), std::string_view(owner), std::string_view(hash), micros(now),
         micros(now + settings.session_lifetime)});
    if (!added) return std::unexpected(added.error());
    return {};
  });
  if (!written) return std::unexpected(written.error());
  return made;
}

Result<> Identity::logout(const Secret& token) {
  if (token.reveal().starts_with(kKeyPrefix)) {
    return fail(Errc::invalid, "an API key has no session to end: delete the key");
  }
  const auto hash = hash_of(token.reveal());
  std::int64_t ended = 0;
  auto written = impl_->database.write([&](Transaction& transaction) -> Result<> {
    auto rows = transaction.execute("DELETE FROM sessions WHERE token_hash = $1", {std::string_view(hash)});
    if (!rows) return std::unexpected(rows.error());
    ended = *rows;
    return {};
  });
  impl_->cache.drop(hash);
  if (!written) return written;
  return ended == 0 ? Result<>(refuse_token()) : Result<>{};
}

Result<std::optional<Identity::Impl::Found>> Identity::Impl::find_session(const std::string& hash) {
  std::optional<Found> found;
  auto read = database.read([&](Transaction& transaction) -> Result<> {
    auto rows = transaction.execute(
        "SELECT u.id, u.email, u.role, s.expires_at FROM sessions s JOIN users u ON u.id = s.user_id "
        "WHERE s.token_hash = $1",
        {std::string_view(hash)}, [&](const Row& row) {
          found =
              Found{{UserId::parse(row.text(0)).value_or(UserId{}), std::string(row.text(1)), role_named(row.text(2))},
                    from_micros(row.integer(3)),
                    std::nullopt,
                    std::nullopt};
        });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  return found;
}

Result<std::optional<Identity::Impl::Found>> Identity::Impl::find_key(const std::string& hash) {
  std::optional<Found> found;
  auto read = database.read([&](Transaction& transaction) -> Result<> {
    auto rows = transaction.execute(
        "SELECT u.id, u.email, u.role, k.id, k.last_used_at FROM api_keys k JOIN users u ON u.id = k.user_id "
        "WHERE k.key_hash = $1",
        {std::string_view(hash)}, [&](const Row& row) {
          found.emplace();
          found->principal = {UserId::parse(row.text(0)).value_or(UserId{}), std::string(row.text(1)),
                              role_named(row.text(2))};
          found->key = ApiKeyId::parse(row.text(3));
          if (!row.is_null(4)) found->last_used = from_micros(row.integer(4));
        });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  return found;
}

void Identity::Impl::note_use(const Found& found, Timestamp now) {
  if (!found.key || (found.last_used && now - *found.last_used < kLastUsedStep)) return;
  auto written = database.write([&](Transaction& transaction) -> Result<> {
    auto changed = transaction.execute("UPDATE api_keys SET last_used_at = $2 WHERE id = $1",
                                       {std::string_view(found.key->to_string()), micros(now)});
    if (!changed) return std::unexpected(changed.error());
    return {};
  });
  if (!written) log::warn("identity", "the use of an API key could not be noted: {}", written.error().message);
}

Result<Principal> Identity::authenticate(std::string_view bearer) {
  const bool is_key = bearer.starts_with(kKeyPrefix);
  if (bearer.size() != kTokenLength || (!is_key && !bearer.starts_with(kSessionPrefix))) return refuse_token();
  const auto now = impl_->clock.now();
  const auto hash = hash_of(bearer);
  if (auto cached = impl_->cache.find(hash, now)) return *std::move(cached);
  const auto generation = impl_->cache.generation();
  auto found = is_key ? impl_->find_key(hash) : impl_->find_session(hash);
  if (!found) return std::unexpected(found.error());
  if (!*found || (*found)->valid_until <= now) return refuse_token();
  impl_->note_use(**found, now);
  impl_->cache.put(hash, (*found)->principal, now, (*found)->valid_until, generation);
  return std::move((*found)->principal);
}

Result<CreatedApiKey> Identity::create_api_key(UserId user, std::string_view name) {
  if (auto checked = check_name(name); !checked) return std::unexpected(checked.error());
  CreatedApiKey made;
  made.created = impl_->clock.now();
  made.id = ApiKeyId::make(made.created);
  made.name = name;
  made.key = new_token(kKeyPrefix);
  made.prefix = made.key.reveal().substr(0, kShownPrefix);
  const auto hash = hash_of(made.key.reveal());
  const auto owner = user.to_string();
  auto written = impl_->database.write([&](Transaction& transaction) -> Result<> {
    std::int64_t present = 0;
    auto counted = transaction.execute("SELECT COUNT(*) FROM api_keys WHERE user_id = $1", {std::string_view(owner)},
                                       [&](const Row& row) { present = row.integer(0); });
    if (!counted) return std::unexpected(counted.error());
    if (present >= kKeysPerUser) {
      return fail(Errc::conflict, fmt::format("a user has at most {} API keys: delete one first", kKeysPerUser));
    }
    auto added = transaction.execute(
        "INSERT INTO api_keys (id, user_id, name, prefix, key_hash, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        {std::string_view(made.id.to_string()), std::string_view(owner), name, std::string_view(made.prefix),
         std::string_view(hash), micros(made.created)});
    if (!added) return std::unexpected(added.error());
    return {};
  });
  if (!written) return std::unexpected(written.error());
  return made;
}

Result<std::vector<ApiKey>> Identity::list_api_keys(UserId user) {
  std::vector<ApiKey> keys;
  auto read = impl_->database.read([&](Transaction& transaction) -> Result<> {
    keys.clear();
    auto rows = transaction.execute(
        "SELECT id, name, prefix, created_at, last_used_at FROM api_keys WHERE user_id = $1 ORDER BY id DESC",
        {std::string_view(user.to_string())}, [&](const Row& row) {
          auto& key = keys.emplace_back();
          key.id = ApiKeyId::parse(row.text(0)).value_or(ApiKeyId{});
          key.name = row.text(1);
          key.prefix = row.text(2);
          key.created = from_micros(row.integer(3));
          if (!row.is_null(4)) key.last_used = from_micros(row.integer(4));
        });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  return keys;
}

Result<> Identity::delete_api_key(UserId user, ApiKeyId id) {
  std::string hash;
  auto written = impl_->database.write([&](Transaction& transaction) -> Result<> {
    hash.clear();
    auto rows = transaction.execute("DELETE FROM api_keys WHERE id = $1 AND user_id = $2 RETURNING key_hash",
                                    {std::string_view(id.to_string()), std::string_view(user.to_string())},
                                    [&](const Row& row) { hash = row.text(0); });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!written) return written;
  if (hash.empty()) return fail(Errc::not_found, "there is no API key " + id.to_string());
  impl_->cache.drop(hash);
  return {};
}

}  // namespace patchbay::identity
