#include "egress/client_certificate.hpp"

#include "egress/signing/crypto.hpp"

namespace patchbay::egress {

Result<std::shared_ptr<const ClientCertificate>> ClientCertificate::create(const Source& source) {
  auto pem = read_client_pem(source.certificate_pem.reveal(), source.key_pem.reveal(), source.key_password.reveal());
  if (!pem) return std::unexpected(std::move(pem.error()));
  std::shared_ptr<ClientCertificate> made(new ClientCertificate);
  made->chain_pem_ = std::move(pem->chain_pem);
  made->key_pem_ = std::move(pem->key_pem);
  made->expires_at_ = pem->expires_at;
  return made;
}

}  // namespace patchbay::egress
