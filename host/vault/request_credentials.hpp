#pragma once

#include <string>

#include "egress/client_certificate.hpp"
#include "egress/http_client.hpp"
#include "egress/signer.hpp"
#include "plugin/auth_scheme.hpp"
#include "vault/fields.hpp"

namespace patchbay::vault {

// What a connection adds to its requests, made once from its credential.
class RequestCredentials {
 public:
  RequestCredentials() = default;
  // Errc::invalid: the credential lacks a field that the scheme names.
  [[nodiscard]] static Result<RequestCredentials> make(const plugin::AuthScheme& scheme, const Fields& fields);

  // In the place of what the request says itself. Any thread.
  void apply(egress::HttpRequest& request) const;

 private:
  std::string header_;
  std::string query_;
  Secret value_;
  std::shared_ptr<const egress::Signer> signer_;
  std::shared_ptr<const egress::ClientCertificate> certificate_;
};

}  // namespace patchbay::vault
