#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "core/error.hpp"

namespace patchbay::vault {

// AES-256-GCM with a key ring. An envelope names its format, its key's id and its nonce; the key id, the algorithm and
// what the secret belongs to are the additional data, so an envelope moved to another record does not open. Any thread.
class Vault {
 public:
  // key_file: one key a line, "<key id> <64 hexadecimal digits>"; the last line is the one that seals. The file must
  // not be readable by others. Errc::not_found: no such file (and how to make one); invalid: which line is wrong.
  [[nodiscard]] static Result<std::unique_ptr<Vault>> open(const std::string& key_file);
  // Writes a new key file (0600). Errc::conflict when there is one: a key is never replaced silently.
  [[nodiscard]] static Result<> create_key_file(const std::string& key_file);
  ~Vault();

  // purpose: what it belongs to, as "credential/<connection id>".
  [[nodiscard]] std::string seal(const Secret& secret, std::string_view purpose) const;
  // Errc::denied: changed, of another purpose, or of a key that is not in the ring (named by its id).
  [[nodiscard]] Result<Secret> open_envelope(std::string_view envelope, std::string_view purpose) const;

 private:
  struct Impl;
  explicit Vault(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace patchbay::vault
