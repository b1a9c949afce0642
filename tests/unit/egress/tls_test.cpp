#include <filesystem>
#include <fstream>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "client_fixture.hpp"

namespace patchbay::egress::testing {
namespace {

using ::testing::HasSubstr;

// A self-signed certificate for one subject alternative name, and the server side's context with it.
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
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
    X509_set_issuer_name(certificate, subject);
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, name.c_str());
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    X509_sign(certificate, key, EVP_sha256());

    context_ = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(context_, certificate);
    SSL_CTX_use_PrivateKey(context_, key);
    BIO* const memory = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(memory, certificate);
    char* text = nullptr;
    const auto length = BIO_get_mem_data(memory, &text);
    pem_.assign(text, static_cast<std::size_t>(length));
    BIO_free(memory);
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  ~Certificate() { SSL_CTX_free(context_); }
  Certificate(const Certificate&) = delete;
  Certificate& operator=(const Certificate&) = delete;

  [[nodiscard]] SSL_CTX* context() const { return context_; }
  [[nodiscard]] const std::string& pem() const { return pem_; }

 private:
  SSL_CTX* context_ = nullptr;
  std::string pem_;
};

class Tls : public ClientTest {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "egress-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    settings.repeats = 0;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void trust(const Certificate& certificate) {
    settings.ca_file = (folder_ / "ca.pem").string();
    std::ofstream(settings.ca_file) << certificate.pem();
  }

  std::filesystem::path folder_;
};

TEST_F(Tls, ASelfSignedCertificateIsRefused) {
  const Certificate certificate("IP:127.0.0.1");
  ScriptedServer server([](const Received&) { return reply(200); }, certificate.context());
  EXPECT_EQ(errc(request("GET", server.url())), Errc::unavailable);
  EXPECT_THAT(last_message, HasSubstr("127.0.0.1: tls certificate not verified"));
  EXPECT_EQ(server.count(), 0U);
}

TEST_F(Tls, ACertificateOfTheCaFileIsTaken) {
  const Certificate certificate("IP:127.0.0.1");
  ScriptedServer server([](const Received& request) { return reply(200, request.body); }, certificate.context());
  trust(certificate);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(fetch(request("POST", server.url(), "hello")).value().body, "hello");
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(Tls, AnotherNameIsRefused) {
  const Certificate certificate("DNS:example.org");
  ScriptedServer server([](const Received&) { return reply(200); }, certificate.context());
  trust(certificate);
  EXPECT_EQ(errc(request("GET", server.url())), Errc::unavailable);
  EXPECT_THAT(last_message, HasSubstr("tls certificate not verified"));
}

TEST_F(Tls, AnExpiredCertificateIsRefused) {
  const Certificate certificate("IP:127.0.0.1", -60);
  ScriptedServer server([](const Received&) { return reply(200); }, certificate.context());
  trust(certificate);
  EXPECT_EQ(errc(request("GET", server.url())), Errc::unavailable);
  EXPECT_THAT(last_message, HasSubstr("expired"));
}

TEST_F(Tls, OldVersionsAreRefused) {
  const Certificate certificate("IP:127.0.0.1");
  SSL_CTX_set_security_level(certificate.context(), 0);
  SSL_CTX_set_min_proto_version(certificate.context(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(certificate.context(), TLS1_1_VERSION);
  ScriptedServer server([](const Received&) { return reply(200); }, certificate.context());
  trust(certificate);
  EXPECT_EQ(errc(request("GET", server.url())), Errc::unavailable);
  EXPECT_EQ(server.count(), 0U);
}

TEST_F(Tls, AMissingCaFileIsAnError) {
  const Certificate certificate("IP:127.0.0.1");
  ScriptedServer server([](const Received&) { return reply(200); }, certificate.context());
  settings.ca_file = (folder_ / "missing.pem").string();
  EXPECT_EQ(errc(request("GET", server.url())), Errc::unavailable);
}

TEST_F(Tls, ARedirectToPlainHttpIsRefused) {
  const Certificate certificate("IP:127.0.0.1");
  ScriptedServer plain([](const Received&) { return reply(200); });
  ScriptedServer server([&](const Received&) { return redirect(302, plain.url()); }, certificate.context());
  trust(certificate);
  EXPECT_EQ(errc(request("GET", server.url())), Errc::denied);
  EXPECT_THAT(last_message, HasSubstr("redirect from https to http"));
  EXPECT_EQ(plain.count(), 0U);
}

TEST_F(Tls, ARedirectFromPlainHttpIsFollowedWithoutCredentials) {
  const Certificate certificate("IP:127.0.0.1");
  ScriptedServer server([](const Received&) { return reply(200, "safe"); }, certificate.context());
  ScriptedServer plain([&](const Received&) { return redirect(301, server.url()); });
  trust(certificate);
  credentials.token = "token-1";
  EXPECT_EQ(fetch(with_connection(request("GET", plain.url()))).value().body, "safe");
  EXPECT_EQ(server.received()[0].headers.count("authorization"), 0U);
}

TEST_F(Tls, PlainHttpToATlsPortIsNoAnswer) {
  const Certificate certificate("IP:127.0.0.1");
  ScriptedServer server([](const Received&) { return reply(200); }, certificate.context());
  EXPECT_EQ(errc(request("GET", "http://127.0.0.1:" + std::to_string(server.port()))), Errc::unavailable);
}

}  // namespace
}  // namespace patchbay::egress::testing
