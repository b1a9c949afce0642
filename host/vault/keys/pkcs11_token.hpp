#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "core/error.hpp"
#include "vault/settings.hpp"

namespace patchbay::vault {

struct TokenKey {
  std::string id;  // CKA_ID, raw
  unsigned long handle = 0;
};

// A session with a token, logged in. One thread at a time. Errors: unavailable: the module, the token or the session is
// away, so make another one; denied: the token is there and says no.
class Pkcs11Token {
 public:
  // Loads the module if this process has not yet.
  [[nodiscard]] static Result<std::unique_ptr<Pkcs11Token>> open(const Pkcs11Settings& settings);
  ~Pkcs11Token();

  // The AES keys with the configured label, by the number that their id is, smallest first.
  [[nodiscard]] Result<std::vector<TokenKey>> keys();
  // CKM_AES_GCM: nonce | ciphertext | tag.
  [[nodiscard]] Result<std::string> encrypt(const TokenKey& key, std::string_view additional_data, std::string_view plain);
  [[nodiscard]] Result<Secret> decrypt(const TokenKey& key, std::string_view additional_data, std::string_view sealed);
  // An AES-256 key that cannot leave the token.
  [[nodiscard]] Result<> generate(const std::string& id);
  [[nodiscard]] Result<> destroy(const std::string& id);

 private:
  struct Impl;
  explicit Pkcs11Token(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace patchbay::vault
