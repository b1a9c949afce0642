#include "vault/assertion.hpp"

#include <memory>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "core/json.hpp"

namespace patchbay::vault {
namespace {

constexpr std::chrono::seconds kLifetime{3600};

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

std::string_view field(const Fields& fields, const char* name) {
  const auto found = fields.find(name);
  return found == fields.end() ? std::string_view{} : found->second.reveal();
}

Key read_key(std::string_view pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  return {bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr) : nullptr, EVP_PKEY_free};
}

std::string sign(EVP_PKEY* key, std::string_view text) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  std::size_t size = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  if (!context || EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, bytes, text.size()) != 1) {
    return {};
  }
  std::string signature(size, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, bytes, text.size()) != 1) return {};
  signature.resize(size);
  return signature;
}

}  // namespace

Result<Secret> make_assertion(const Fields& fields, std::string_view audience, std::string_view scope, Timestamp now) {
  const auto key = read_key(field(fields, "private_key"));
  if (!key || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA) {
    return fail(Errc::invalid, "auth.private_key is no RSA key in PEM");
  }
  const auto seconds = millis(now) / 1000;
  const auto key_id = field(fields, "key_id");
  const auto subject = field(fields, "subject");
  const auto header = fmt::format(R"({{"alg":"RS256","typ":"JWT"{}}})", key_id.empty() ? "" : ",\"kid\":" + json_quote(key_id));
  const auto claims =
      fmt::format(R"({{"iss":{},"aud":{},"scope":{},"iat":{},"exp":{}{}}})", json_quote(field(fields, "client_email")), json_quote(audience),
                  json_quote(scope), seconds, seconds + kLifetime.count(), subject.empty() ? "" : ",\"sub\":" + json_quote(subject));
  const auto text = to_base64url(header) + "." + to_base64url(claims);
  const auto signature = sign(key.get(), text);
  if (signature.empty()) return fail(Errc::invalid, "auth.private_key cannot sign");
  return Secret(text + "." + to_base64url(signature));
}

}  // namespace patchbay::vault
