#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "core/error.hpp"

namespace patchbay::plugin {

// Which plugin files are loaded: code in the host's own process.
enum class TrustLevel {
  any,           // every file of the folder
  listed,        // those whose SHA-256 is in digests
  signed_files,  // those with a signature of one of keys beside them: x.so.sig
};

struct Trust {
  TrustLevel level = TrustLevel::any;
  std::vector<std::string> digests;  // SHA-256, 64 hex digits
  std::vector<std::string> keys;     // Ed25519 public keys (RFC 8032), base64
};

// Errc::denied: one line that says why bytes are not to be loaded, and what to do. file: where they came from; its
// signature stands beside it.
[[nodiscard]] Result<> check_trust(const Trust& trust, const std::string& file, std::string_view bytes,
                                   std::string_view sha256);

// Errc::invalid: a digest or key that is none.
[[nodiscard]] Result<> check_settings(const Trust& trust);

// A signing key, as a text of one line to be kept in a file, and its public half.
struct SigningKey {
  Secret secret;
  std::string public_key;  // base64
};
[[nodiscard]] SigningKey make_signing_key();
// Errc::invalid: no such key.
[[nodiscard]] Result<SigningKey> read_signing_key(std::string_view text);
// What stands in x.so.sig: base64 of the Ed25519 signature of the whole file, and a line end.
[[nodiscard]] std::string sign(const SigningKey& key, std::string_view bytes);

}  // namespace patchbay::plugin
