#include <filesystem>
#include <fstream>

#include "certificates.hpp"
#include "client_fixture.hpp"
#include "egress/client_certificate.hpp"

namespace patchbay::egress::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Shown = std::shared_ptr<const ClientCertificate>;

Shown shown(const Certificate& certificate) {
  return ClientCertificate::create({Secret(certificate.pem()), Secret(certificate.key_pem()), {}}).value();
}

std::string why_refused(const std::string& certificate, const std::string& key, const std::string& password = "") {
  const auto made = ClientCertificate::create({Secret(certificate), Secret(key), Secret(password)});
  if (made) return "it was taken";
  EXPECT_EQ(made.error().code, Errc::invalid);
  return made.error().message;
}

TEST(ClientCertificate, SaysWhatIsWrongWithIt) {
  const Certificate one("DNS:one"), two("DNS:two");
  const auto damaged = one.pem().substr(0, one.pem().size() / 2);
  EXPECT_EQ(why_refused("", one.key_pem()), "the client certificate is missing");
  EXPECT_EQ(why_refused("secret-1", one.key_pem()), "the client certificate is no certificate in PEM");
  EXPECT_EQ(why_refused(damaged, one.key_pem()), "the client certificate is no certificate in PEM");
  EXPECT_EQ(why_refused(one.key_pem(), one.key_pem()), "the client certificate is no certificate in PEM");
  EXPECT_EQ(why_refused(one.pem() + damaged, one.key_pem()),
            "the client certificate's chain is damaged after its beginning");
  EXPECT_EQ(why_refused(one.pem(), "secret-1"), "the client key is no private key in PEM");
  EXPECT_EQ(why_refused(one.pem(), ""), "the client key is no private key in PEM");
  EXPECT_EQ(why_refused(one.pem(), two.key_pem()), "the client key is not the key of the client certificate");
  EXPECT_EQ(why_refused(one.pem(), one.locked_key_pem()), "the client key is encrypted, and there is no password");
  EXPECT_EQ(why_refused(one.pem(), one.locked_key_pem(), "secret-1"),
            "the client key cannot be decrypted: its password is another");
  EXPECT_EQ(why_refused(std::string(2 << 20, 'x'), one.key_pem()),
            "the client certificate or its key is larger than 1 MB");
}

TEST(ClientCertificate, KeepsTheChainApartFromTheKey) {
  const Certificate one("DNS:one"), root("DNS:root");
  const auto together = one.key_pem() + "a remark\n" + one.pem() + root.pem();
  const auto made = ClientCertificate::create({Secret(together), {}, {}}).value();
  EXPECT_EQ(made->chain_pem(), one.pem() + root.pem());
  EXPECT_EQ(made->key_pem(), one.key_pem());
  const auto locked =
      ClientCertificate::create({Secret(one.pem()), Secret(one.locked_key_pem()), Secret("password-1")});
  EXPECT_EQ(locked.value()->key_pem(), one.key_pem());
  EXPECT_NEAR(static_cast<double>(millis(made->expires_at()) - millis(system_clock().now())), 3'600'000, 60'000);
}

// Shows what the test says.
class Showing : public CredentialSource {
 public:
  Result<> authorize(HttpRequest& request) override {
    request.client_certificate = certificate;
    return {};
  }
  Shown certificate;
};

class MutualTls : public ClientTest {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "egress-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    settings.ca_file = (folder_ / "ca.pem").string();
    std::ofstream(settings.ca_file) << server_side.pem();
    server_side.ask_for_certificates();
    client = make_curl_client(loop, clock, showing, settings).value();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  // How the server saw the one request that is made with certificate.
  Received seen(ScriptedServer& server, const Shown& certificate, const std::string& path = "/") {
    showing.certificate = certificate;
    EXPECT_TRUE(fetch(with_connection(request("GET", server.url(path)))));
    return server.received().back();
  }

  const Certificate server_side{"IP:127.0.0.1"};
  const Certificate one{"DNS:one"};
  const Certificate two{"DNS:two"};
  Showing showing;
  std::filesystem::path folder_;
};

Scripted always(const Received&) { return reply(200); }
Scripted always_and_close(const Received&) {
  auto answer = reply(200);
  answer.then = Scripted::Then::close;
  return answer;
}

TEST_F(MutualTls, TheServerSeesTheCertificate) {
  ScriptedServer server(always, server_side.context());
  EXPECT_EQ(seen(server, shown(one)).client, "DNS:one");
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(MutualTls, AKeptConnectionIsForItsCertificateAlone) {
  ScriptedServer server(always, server_side.context());
  const auto first = shown(one), second = shown(two);
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(seen(server, first).client, "DNS:one");
    EXPECT_EQ(seen(server, second).client, "DNS:two");
    EXPECT_EQ(seen(server, nullptr).client, "");
    EXPECT_EQ(seen(server, shown(one)).client, "DNS:one") << "the same, read again";
  }
  EXPECT_EQ(server.connections(), 3) << "and is kept for it";
}

TEST_F(MutualTls, ManyAtOnceDoNotMix) {
  ScriptedServer server([](const Received& request) { return reply(200, request.client); }, server_side.context());
  const std::array<Shown, 3> certificates{shown(one), shown(two), nullptr};
  const std::array<std::string, 3> names{"DNS:one", "DNS:two", ""};
  int answered = 0;
  for (std::size_t i = 0; i < 300; ++i) {
    showing.certificate = certificates[i * 7 % 3];
    client->send(with_connection(request("GET", server.url())), [&, i](Result<HttpReply> answer) {
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->body, names[i * 7 % 3]);
      ++answered;
    });
    if (i % 10 != 0) continue;
    ASSERT_TRUE(wait_for([&] { return answered + 5 > static_cast<int>(i); }));
  }
  EXPECT_TRUE(wait_for([&] { return answered == 300; }));
}

class TlsVersion : public MutualTls, public ::testing::WithParamInterface<int> {};

TEST_P(TlsVersion, ASessionIsResumedForItsCertificateAlone) {
  SSL_CTX_set_max_proto_version(server_side.context(), GetParam());
  ScriptedServer server(always_and_close, server_side.context());
  const auto first = shown(one), second = shown(two);
  int resumed = 0;
  for (const auto& certificate : {first, first, second, second, Shown{}, first, Shown{}, second, first}) {
    const auto request = seen(server, certificate);
    EXPECT_EQ(request.client, certificate == first ? "DNS:one" : certificate == second ? "DNS:two" : "");
    resumed += request.resumed ? 1 : 0;
  }
  EXPECT_GT(resumed, 0) << "this test shows nothing where no session is resumed";
}

INSTANTIATE_TEST_SUITE_P(Each, TlsVersion, ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_F(MutualTls, AnotherOriginDoesNotSeeIt) {
  ScriptedServer other(always, server_side.context());
  ScriptedServer server([&](const Received&) { return redirect(307, other.url()); }, server_side.context());
  showing.certificate = shown(one);
  ASSERT_TRUE(fetch(with_connection(request("GET", server.url()))));
  EXPECT_EQ(server.received()[0].client, "DNS:one");
  EXPECT_EQ(other.received()[0].client, "");
}

TEST_F(MutualTls, ItIsOfOneAttemptOnly) {
  ScriptedServer server(always, server_side.context());
  EXPECT_EQ(seen(server, shown(one)).client, "DNS:one");
  ASSERT_TRUE(fetch(request("GET", server.url()))) << "without a connection nobody authorises";
  EXPECT_EQ(server.received()[1].client, "");
}

TEST_F(MutualTls, PlainHttpIsRefused) {
  ScriptedServer server(always);
  showing.certificate = shown(one);
  EXPECT_EQ(errc(with_connection(request("GET", server.url()))), Errc::denied);
  EXPECT_THAT(last_message, HasSubstr("127.0.0.1: a client certificate needs https"));
  EXPECT_EQ(server.count(), 0U);
}

TEST_F(MutualTls, AServerThatInsistsIsHeard) {
  SSL_CTX_set_verify(server_side.context(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                     [](int, X509_STORE_CTX*) { return 1; });
  settings.repeats = 0;
  client = make_curl_client(loop, clock, showing, settings).value();
  ScriptedServer server(always, server_side.context());
  EXPECT_EQ(errc(with_connection(request("GET", server.url()))), Errc::unauthenticated);
  EXPECT_THAT(last_message, HasSubstr("127.0.0.1: the client certificate is missing: alert certificate required"));
  EXPECT_EQ(server.count(), 0U);
  EXPECT_EQ(seen(server, shown(one)).client, "DNS:one");
}

}  // namespace
}  // namespace patchbay::egress::testing
