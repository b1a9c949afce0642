#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/bytes.hpp"
#include "core/error.hpp"
#include "core/time.hpp"

// All that this module asks of OpenSSL.
namespace patchbay::egress {

enum class Digest { sha1, sha256, sha512 };

// Raw bytes. Errc::internal: OpenSSL refuses.
[[nodiscard]] Result<std::string> digest(Digest which, std::string_view bytes);
// Over the parts as if they were one.
[[nodiscard]] Result<std::string> hmac(Digest which, std::string_view key, std::span<const std::string_view> parts);

struct ClientPem {
  std::string chain_pem;  // the certificates, and nothing else that stood there
  Secret key_pem;         // PKCS#8, decrypted
  Timestamp expires_at;   // of the first certificate
};
// Errc::invalid: not PEM, a wrong or missing password, a key that is another certificate's.
[[nodiscard]] Result<ClientPem> read_client_pem(std::string_view certificates, std::string_view key,
                                                std::string_view password);

}  // namespace patchbay::egress
