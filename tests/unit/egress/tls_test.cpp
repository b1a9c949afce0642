#include <filesystem>
#include <fstream>

#include "certificates.hpp"
#include "client_fixture.hpp"

namespace patchbay::egress::testing {
namespace {

using ::testing::HasSubstr;

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
