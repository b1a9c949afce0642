#include "client_fixture.hpp"

namespace patchbay::egress::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Guarding : public ClientTest {
 protected:
  Guarding() { settings.allowed_private_networks.clear(); }
};

TEST_F(Guarding, PrivateAddressesAreRefusedHoweverTheyAreWritten) {
  ScriptedServer server([](const Received&) { return reply(200); });
  const auto port = ":" + std::to_string(server.port()) + "/";
  for (const std::string host : {"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "2130706433", "0x7f.1",
                                 "0177.0.0.1", "127.1", "0", "10.0.0.1", "[::ffff:10.0.0.1]", "169.254.169.254",
                                 "100.64.0.1", "192.168.0.1", "[fd00::1]", "[fe80::1]", "224.0.0.1"}) {
    for (const char* scheme : {"http://", "https://"}) {
      EXPECT_EQ(errc(request("GET", scheme + host + port)), Errc::denied) << scheme << host << ": " << last_message;
    }
  }
  EXPECT_EQ(server.connections(), 0);
}

TEST_F(Guarding, TheMessageNamesHostAndAddress) {
  EXPECT_EQ(errc(request("GET", "https://localhost/path?token=1")), Errc::denied);
  EXPECT_THAT(last_message, HasSubstr("localhost: "));
  EXPECT_THAT(last_message, HasSubstr("1 is a private address that the configuration does not allow"));
  EXPECT_THAT(last_message, Not(HasSubstr("token")));
}

TEST_F(Guarding, OnlyTheConfiguredNetworkIsOpened) {
  ScriptedServer server([](const Received&) { return reply(200); });
  settings.allowed_private_networks = {"127.0.0.1/32"};
  EXPECT_EQ(get(server.url()).value().status, 200);
  EXPECT_EQ(get(server.url("/", "localhost")).value().status, 200) << "::1 is refused, 127.0.0.1 is taken";
  EXPECT_EQ(errc(request("GET", server.url("/", "127.0.0.2"))), Errc::denied);
}

TEST_F(Guarding, PlainHttpToThePublicInternetIsRefusedBeforeAnythingIsSent) {
  EXPECT_EQ(errc(request("GET", "http://8.8.8.8/")), Errc::denied);
  EXPECT_THAT(last_message, HasSubstr("plain http to 8.8.8.8"));
}

TEST_F(Guarding, AProxyOfTheEnvironmentIsNotUsed) {
  ScriptedServer proxy([](const Received&) { return reply(200, "by proxy"); });
  settings.allowed_private_networks = {"127.0.0.1/32"};
  ASSERT_EQ(::setenv("http_proxy", proxy.url().c_str(), 1), 0);
  ASSERT_EQ(::setenv("all_proxy", proxy.url().c_str(), 1), 0);
  EXPECT_EQ(errc(request("GET", "http://10.0.0.1/")), Errc::denied);
  ::unsetenv("http_proxy");
  ::unsetenv("all_proxy");
  EXPECT_EQ(proxy.connections(), 0);
}

TEST_F(Guarding, HostsOutsideOfTheListAreRefused) {
  ScriptedServer server([](const Received&) { return reply(200); });
  settings.allowed_private_networks = {"127.0.0.0/8"};
  for (const auto& allowed :
       std::vector<std::vector<std::string>>{{}, {"localhost"}, {"*.0.0.1.org", "api.github.com"}}) {
    auto sent = request("GET", server.url());
    sent.allowed_hosts = std::make_shared<const std::vector<std::string>>(allowed);
    EXPECT_EQ(errc(std::move(sent)), Errc::denied);
    EXPECT_THAT(last_message, HasSubstr("127.0.0.1"));
  }
  auto none = request("GET", server.url());
  none.allowed_hosts = nullptr;
  EXPECT_EQ(errc(std::move(none)), Errc::denied);
  auto right = request("GET", server.url());
  right.allowed_hosts = std::make_shared<const std::vector<std::string>>(1, "127.0.0.1");
  EXPECT_TRUE(fetch(std::move(right)));
  EXPECT_EQ(server.count(), 1U);
}

TEST_F(Guarding, OtherSchemesAndOddUrlsAreRefused) {
  for (const char* url :
       {"ftp://a/", "file:///etc/passwd", "gopher://a/", "dict://a/", "", "https://a b/", "https://a/\r\nX: y"}) {
    EXPECT_EQ(errc(request("GET", url)), Errc::invalid) << url;
  }
  EXPECT_EQ(errc(request("GET", "https://user:password@127.0.0.1/")), Errc::denied);
  EXPECT_THAT(last_message, Not(HasSubstr("password")));
}

TEST_F(Guarding, HeadersCannotBeInjected) {
  ScriptedServer server([](const Received&) { return reply(200); });
  settings.allowed_private_networks = {"127.0.0.0/8"};
  const std::vector<std::pair<std::string, std::string>> bad{{"X", "a\r\nY: b"},
                                                             {"X", "a\nb"},
                                                             {"X", "a\rb"},
                                                             {"X", std::string("a\0b", 3)},
                                                             {"X\r\nY", "a"},
                                                             {"X: y", "a"},
                                                             {"X Y", "a"},
                                                             {"", "a"},
                                                             {"X", "a\x7f"},
                                                             {"Host", "b"},
                                                             {"content-length", "3"},
                                                             {"Transfer-Encoding", "chunked"},
                                                             {"Connection", "upgrade"},
                                                             {"Accept-Encoding", "gzip\r\nX: y"}};
  for (const auto& header : bad) {
    auto sent = request("POST", server.url(), "abc");
    sent.headers = {header};
    EXPECT_EQ(errc(std::move(sent)), Errc::invalid) << header.first;
  }
  for (const char* method : {"", "GET / HTTP/1.1\r\nX: y", "G T", "CONNECT", "TRACE"}) {
    EXPECT_EQ(errc(request(method, server.url())), Errc::invalid) << method;
  }
  auto by_secret = request("POST", server.url(), "abc");
  by_secret.headers = {{"X", "ref-1"}};
  by_secret.expansions = {{"ref-1", Secret("a\r\nY: b")}};
  EXPECT_EQ(errc(std::move(by_secret)), Errc::invalid);
  credentials.token = "a\r\nY: b";
  EXPECT_EQ(errc(with_connection(request("GET", server.url()))), Errc::invalid);
  EXPECT_EQ(server.count(), 0U);
}

TEST_F(Guarding, WrongNetworksAreAnErrorAtStart) {
  settings.allowed_private_networks = {"10.0.0.0/8", "intranet"};
  const auto made = make_curl_client(loop, clock, credentials, settings);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::invalid);
  EXPECT_THAT(made.error().message, HasSubstr("intranet"));
}

}  // namespace
}  // namespace patchbay::egress::testing
