#pragma once

#include <memory>
#include <string_view>

#include "core/bytes.hpp"
#include "core/error.hpp"
#include "core/time.hpp"

namespace patchbay::egress {

// Who we are towards a server that asks for a certificate (mTLS). Immutable; any thread.
class ClientCertificate {
 public:
  struct Source {
    Secret certificate_pem;  // the leaf first, then what links it to a root the server knows
    Secret key_pem;          // empty: it stands in certificate_pem as well
    Secret key_password;     // empty: the key is not encrypted
  };
  // Errc::invalid names what is wrong (which of the three, and how), never anything of the content. A key that is not
  // the certificate's is refused here: libcurl keeps connections apart by the certificate alone.
  [[nodiscard]] static Result<std::shared_ptr<const ClientCertificate>> create(const Source& source);

  [[nodiscard]] std::string_view chain_pem() const { return chain_pem_; }       // certificates only
  [[nodiscard]] std::string_view key_pem() const { return key_pem_.reveal(); }  // PKCS#8, not encrypted
  [[nodiscard]] Timestamp expires_at() const { return expires_at_; }            // of the leaf

 private:
  ClientCertificate() = default;
  std::string chain_pem_;
  Secret key_pem_;
  Timestamp expires_at_{};
};

}  // namespace patchbay::egress
