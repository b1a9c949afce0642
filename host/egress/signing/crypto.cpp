#include "egress/signing/crypto.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <memory>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

namespace patchbay::egress {
namespace {

struct Free {
  void operator()(EVP_MAC* mac) const { EVP_MAC_free(mac); }
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Bio = std::unique_ptr<BIO, Free>;
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Certificate = std::unique_ptr<X509, Free>;

constexpr std::size_t kPemLimitBytes = 1 << 20;

const char* name_of(Digest which) {
  switch (which) {
    case Digest::sha1:
      return "SHA1";
    case Digest::sha512:
      return "SHA512";
    case Digest::sha256:
      break;
  }
  return "SHA256";
}

const unsigned char* unsigned_data(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

Bio reading(std::string_view text) { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

// The buffer is OpenSSL's until bio goes, and wiped then.
std::string_view written(const Bio& bio) {
  char* data = nullptr;
  const auto length = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(length)};
}

struct Password {
  std::string_view text;
  bool was_asked = false;
};

// Without it OpenSSL would ask on the terminal.
int give_password(char* buffer, int size, int /*writing*/, void* user) {
  auto& password = *static_cast<Password*>(user);
  password.was_asked = true;
  if (password.text.empty() || password.text.size() > static_cast<std::size_t>(size)) return -1;
  std::memcpy(buffer, password.text.data(), password.text.size());
  return static_cast<int>(password.text.size());
}

Result<Key> read_key(std::string_view pem, std::string_view password_text) {
  Password password{password_text};
  const auto source = reading(pem);
  Key key(PEM_read_bio_PrivateKey(source.get(), nullptr, &give_password, &password));
  ERR_clear_error();
  if (key) return key;
  if (!password.was_asked) return fail(Errc::invalid, "the client key is no private key in PEM");
  if (password_text.empty()) return fail(Errc::invalid, "the client key is encrypted, and there is no password");
  return fail(Errc::invalid, "the client key cannot be decrypted: its password is another");
}

Timestamp to_timestamp(const ASN1_TIME* time) {
  std::tm fields{};
  if (ASN1_TIME_to_tm(time, &fields) != 1) return {};
  return Timestamp{std::chrono::seconds{timegm(&fields)}};
}

// The leaf; all of them are copied into chain_pem.
Result<Certificate> read_chain(std::string_view pem, std::string& chain_pem) {
  const auto source = reading(pem);
  const Bio chain(BIO_new(BIO_s_mem()));
  if (!chain) return fail(Errc::internal, "OpenSSL has no memory for a certificate");
  Certificate leaf;
  while (Certificate next{PEM_read_bio_X509(source.get(), nullptr, nullptr, nullptr)}) {
    if (PEM_write_bio_X509(chain.get(), next.get()) != 1) return fail(Errc::internal, "OpenSSL writes no certificate");
    if (!leaf) leaf = std::move(next);
  }
  const bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!leaf) return fail(Errc::invalid, "the client certificate is no certificate in PEM");
  if (!is_end) return fail(Errc::invalid, "the client certificate's chain is damaged after its beginning");
  chain_pem = written(chain);
  return leaf;
}

}  // namespace

Result<std::string> digest(Digest which, std::string_view bytes) {
  std::string out(EVP_MAX_MD_SIZE, '\0');
  std::size_t length = 0;
  if (EVP_Q_digest(nullptr, name_of(which), nullptr, bytes.data(), bytes.size(),
                   reinterpret_cast<unsigned char*>(out.data()), &length) != 1) {
    return fail(Errc::internal, "OpenSSL cannot make a digest");
  }
  out.resize(length);
  return out;
}

Result<std::string> hmac(Digest which, std::string_view key, std::span<const std::string_view> parts) {
  const std::unique_ptr<EVP_MAC, Free> mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  const std::unique_ptr<EVP_MAC_CTX, Free> context(mac ? EVP_MAC_CTX_new(mac.get()) : nullptr);
  std::string name(name_of(which));
  const std::array<OSSL_PARAM, 2> params{OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name.data(), 0),
                                         OSSL_PARAM_construct_end()};
  bool ok = context && EVP_MAC_init(context.get(), unsigned_data(key), key.size(), params.data()) == 1;
  for (const auto part : parts) ok = ok && EVP_MAC_update(context.get(), unsigned_data(part), part.size()) == 1;
  std::string out(EVP_MAX_MD_SIZE, '\0');
  std::size_t length = 0;
  ok = ok && EVP_MAC_final(context.get(), reinterpret_cast<unsigned char*>(out.data()), &length, out.size()) == 1;
  if (!ok) return fail(Errc::internal, "OpenSSL cannot make an HMAC");
  out.resize(length);
  return out;
}

Result<ClientPem> read_client_pem(std::string_view certificates, std::string_view key_text, std::string_view password) {
  if (certificates.empty()) return fail(Errc::invalid, "the client certificate is missing");
  if (std::max(certificates.size(), key_text.size()) > kPemLimitBytes) {
    return fail(Errc::invalid, "the client certificate or its key is larger than 1 MB");
  }
  ClientPem pem;
  const auto leaf = read_chain(certificates, pem.chain_pem);
  if (!leaf) return std::unexpected(leaf.error());
  const auto key = read_key(key_text.empty() ? certificates : key_text, password);
  if (!key) return std::unexpected(key.error());
  const bool fits = X509_check_private_key(leaf->get(), key->get()) == 1;
  ERR_clear_error();
  if (!fits) return fail(Errc::invalid, "the client key is not the key of the client certificate");

  const Bio plain(BIO_new(BIO_s_mem()));
  if (!plain || PEM_write_bio_PKCS8PrivateKey(plain.get(), key->get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    ERR_clear_error();
    return fail(Errc::invalid, "the client key is of a kind that cannot be kept as PKCS#8");
  }
  pem.key_pem = Secret(std::string(written(plain)));
  pem.expires_at = to_timestamp(X509_get0_notAfter(leaf->get()));
  return pem;
}

}  // namespace patchbay::egress
