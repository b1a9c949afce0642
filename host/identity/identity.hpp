#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "core/error.hpp"
#include "core/id.hpp"
#include "core/time.hpp"
#include "store/database.hpp"

namespace patchbay::identity {

enum class Role { user, admin };

// Who is asking, as proven by a token.
struct Principal {
  UserId user;
  std::string email;
  Role role = Role::user;
};

struct User {
  UserId id;
  std::string email;
  Role role = Role::user;
  Timestamp created;
};

struct AccessToken {
  Secret token;
  std::chrono::seconds expires_in{0};
};

struct ApiKey {
  ApiKeyId id;
  std::string name;
  std::string prefix;  // "pbk_Ab3d…": enough to recognise it by
  Timestamp created;
  std::optional<Timestamp> last_used;
};
struct CreatedApiKey : ApiKey {
  Secret key;  // shown once
};

struct IdentitySettings {
  std::chrono::seconds session_lifetime{24 * 3600};
  std::size_t password_memory_kib = 19 * 1024;  // Argon2id, OWASP's first recommendation: 19 MiB, 2 passes
  int password_passes = 2;
  bool registration_open = true;
};

// Users, login sessions and API keys. Any thread; calls block (Argon2id: about 25 ms).
class Identity {
 public:
  Identity(store::Database& database, const Clock& clock, IdentitySettings settings);
  ~Identity();

  // Errc::invalid: e-mail or password not acceptable (8 to 128 characters); conflict: the e-mail is taken;
  // denied: registration is closed. The first user becomes admin.
  Result<User> register_user(std::string_view email, const Secret& password);
  // Like register_user, for the command line: also when registration is closed.
  Result<User> add_user(std::string_view email, const Secret& password, Role role);
  // Errc::unauthenticated, the same (and after the same work) for an unknown e-mail and a wrong password.
  Result<AccessToken> login(std::string_view email, const Secret& password);
  Result<> logout(const Secret& token);

  // A session's token or an API key ("pbk_..."). Errc::unauthenticated. Cached for a few seconds.
  Result<Principal> authenticate(std::string_view bearer);

  Result<CreatedApiKey> create_api_key(UserId user, std::string_view name);
  Result<std::vector<ApiKey>> list_api_keys(UserId user);
  Result<> delete_api_key(UserId user, ApiKeyId id);
  Result<User> find_user(std::string_view email);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace patchbay::identity
