#include <unistd.h>

#include <gmock/gmock.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>

#include "gateway_fixture.hpp"

namespace patchbay::gateway {
namespace {

using ::testing::HasSubstr;

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* it) const {
    Free(it);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using TlsContext = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using Tls = std::unique_ptr<SSL, Freed<SSL_free>>;
using File = std::unique_ptr<std::FILE, Freed<std::fclose>>;

// A key and a certificate that it has signed itself, in a folder that goes with the test.
class TlsGateway : public GatewayTest {
 protected:
  TlsGateway() {
    std::string name = (std::filesystem::temp_directory_path() / "patchbay-tls-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    const Key key(EVP_EC_gen("P-256"));
    const Certificate certificate(X509_new());
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_set_pubkey(certificate.get(), key.get());
    auto* subject = X509_get_subject_name(certificate.get());
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"), -1, -1,
                               0);
    X509_set_issuer_name(certificate.get(), subject);
    X509_sign(certificate.get(), key.get(), EVP_sha256());
    const File key_file(std::fopen((folder_ / "key.pem").c_str(), "w"));
    PEM_write_PrivateKey(key_file.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    const File certificate_file(std::fopen((folder_ / "certificate.pem").c_str(), "w"));
    PEM_write_X509(certificate_file.get(), certificate.get());
  }
  ~TlsGateway() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] GatewaySettings tls() const {
    GatewaySettings settings;
    settings.certificate_file = folder_ / "certificate.pem";
    settings.private_key_file = folder_ / "key.pem";
    settings.header_timeout = std::chrono::milliseconds{300};
    return settings;
  }

  // One request over TLS of at most this version; empty: there was no handshake.
  std::string ask(std::string_view request, int version = TLS1_3_VERSION) {
    const auto peer = client();
    const TlsContext context(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_security_level(context.get(), 0);
    SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context.get(), version);
    const Tls tls(SSL_new(context.get()));
    SSL_set_fd(tls.get(), peer->descriptor());
    if (!until([&] { return SSL_connect(tls.get()); }, tls.get())) return {};
    if (!until([&] { return SSL_write(tls.get(), request.data(), static_cast<int>(request.size())); }, tls.get())) {
      return {};
    }
    std::string received;
    char buffer[4096];
    int count = 0;
    while (until([&] { return count = SSL_read(tls.get(), buffer, sizeof buffer); }, tls.get())) {
      received.append(buffer, static_cast<std::size_t>(count));
    }
    ended_with_close_notify_ = (SSL_get_shutdown(tls.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
    return received;
  }

  std::filesystem::path folder_;
  bool ended_with_close_notify_ = false;

 private:
  // Steps the gateway until OpenSSL has done what it was asked to do; false when it cannot.
  bool until(const std::function<int()>& step, SSL* tls) {
    int result = 0;
    const bool ended = loop_.run_until(
        [&] {
          result = step();
          const auto why = SSL_get_error(tls, result);
          return result > 0 || (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE);
        },
        std::chrono::seconds{5});
    return ended && result > 0;
  }
};

constexpr std::string_view kDelivery =
    "POST /hooks/tok HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";

TEST_F(TlsGateway, ServesAndEndsTheSessionInOrder) {
  start(tls());
  EXPECT_THAT(ask(kDelivery), HasSubstr("HTTP/1.1 204"));
  EXPECT_TRUE(ended_with_close_notify_);
  ASSERT_EQ(backend_.hooks.size(), 1U);
  EXPECT_EQ(backend_.hooks[0].body, "{}");
}

TEST_F(TlsGateway, SpeaksOneTwoAndNothingOlder) {
  start(tls());
  EXPECT_THAT(ask(kDelivery, TLS1_2_VERSION), HasSubstr("HTTP/1.1 204"));
  EXPECT_EQ(ask(kDelivery, TLS1_1_VERSION), "");
}

TEST_F(TlsGateway, ASilentClientHoldsUpNobodyAndIsClosed) {
  start(tls());
  const auto silent = client();
  const auto half = client();
  half->send("\x16\x03\x01\x02");
  for (int i = 0; i < 5; ++i) EXPECT_THAT(ask(kDelivery), HasSubstr("HTTP/1.1 204"));
  EXPECT_TRUE(silent->closed());
  EXPECT_TRUE(half->closed());
}

TEST_F(TlsGateway, PlainHttpIsNoHandshake) {
  start(tls());
  const auto plain = client();
  plain->send("GET /livez HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(plain->closed());
  EXPECT_TRUE(plain->statuses().empty());
}

TEST_F(TlsGateway, AKeyThatCannotBeReadIsSaidAtTheStart) {
  auto settings = tls();
  settings.port = 0;
  settings.private_key_file = folder_ / "missing.pem";
  const auto made = Gateway::create(loop_, backend_, settings);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code, Errc::unavailable);
  EXPECT_THAT(made.error().message, HasSubstr("missing.pem"));
}

}  // namespace
}  // namespace patchbay::gateway
