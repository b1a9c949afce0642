#pragma once

#include <functional>
#include <string>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace patchbay::egress::testing {

// A self-signed certificate for one subject alternative name, which is its common name too, and the server side's
// context with it.
class Certificate {
 public:
  explicit Certificate(const std::string& name, long valid_seconds = 3600) {
    EVP_PKEY* const key = EVP_EC_gen("P-256");
    X509* const certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -7200);
    X509_gmtime_adj(X509_getm_notAfter(certificate), valid_seconds);
    X509_set_pubkey(certificate, key);
    X509_NAME* const subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.c_str()), -1,
                               -1, 0);
    X509_set_issuer_name(certificate, subject);
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, name.c_str());
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    X509_sign(certificate, key, EVP_sha256());

    context_ = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(context_, certificate);
    SSL_CTX_use_PrivateKey(context_, key);
    pem_ = written([&](BIO* out) { PEM_write_bio_X509(out, certificate); });
    key_pem_ = written([&](BIO* out) { PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr); });
    locked_key_pem_ = written([&](BIO* out) {
      PEM_write_bio_PKCS8PrivateKey(out, key, EVP_aes_256_cbc(), "password-1", 10, nullptr, nullptr);
    });
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  ~Certificate() { SSL_CTX_free(context_); }
  Certificate(const Certificate&) = delete;
  Certificate& operator=(const Certificate&) = delete;

  [[nodiscard]] SSL_CTX* context() const { return context_; }
  [[nodiscard]] const std::string& pem() const { return pem_; }
  [[nodiscard]] const std::string& key_pem() const { return key_pem_; }
  [[nodiscard]] const std::string& locked_key_pem() const { return locked_key_pem_; }  // with "password-1"

  // The server asks for a certificate, and takes any or none.
  void ask_for_certificates() const {
    SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
    SSL_CTX_set_session_id_context(context_, reinterpret_cast<const unsigned char*>("test"), 4);
  }

 private:
  static std::string written(const std::function<void(BIO*)>& write) {
    BIO* const memory = BIO_new(BIO_s_mem());
    write(memory);
    char* text = nullptr;
    const auto length = BIO_get_mem_data(memory, &text);
    std::string out(text, static_cast<std::size_t>(length));
    BIO_free(memory);
    return out;
  }

  SSL_CTX* context_ = nullptr;
  std::string pem_;
  std::string key_pem_;
  std::string locked_key_pem_;
};

}  // namespace patchbay::egress::testing
