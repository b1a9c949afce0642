#include "client_fixture.hpp"
#include "logged.hpp"

namespace patchbay::egress::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Secrets : public ClientTest {};

TEST_F(Secrets, TakeThePlaceOfTheirReferences) {
  ScriptedServer server([](const Received&) { return reply(200); });
  auto sent = request("POST", server.url("/bot/ref-1/send?key=ref-2"), R"({"secret":"ref-2","again":"ref-2 ref-1"})");
  sent.headers = {{"X-One", "a ref-1 b"}, {"Content-Type", "application/json"}};
  sent.expansions = {{"ref-1", Secret("123:abc")}, {"ref-2", Secret("q\"u&e/ry")}};
  ASSERT_TRUE(fetch(std::move(sent)));
  const auto received = server.received()[0];
  EXPECT_EQ(received.target, "/bot/123:abc/send?key=q%22u%26e%2Fry");
  EXPECT_EQ(received.header("x-one"), "a 123:abc b");
  EXPECT_EQ(received.body, R"({"secret":"q\"u&e/ry","again":"q\"u&e/ry 123:abc"})");
}

TEST_F(Secrets, AreWrittenAsTheBodysTypeWantsThem) {
  ScriptedServer server([](const Received&) { return reply(200); });
  for (const char* type : {"application/x-www-form-urlencoded", "text/plain", "application/vnd.api+json"}) {
    auto sent = request("POST", server.url(), "a=ref-1");
    sent.headers = {{"content-type", type}};
    sent.expansions = {{"ref-1", Secret("x&\"y\n")}};
    ASSERT_TRUE(fetch(std::move(sent)));
  }
  const auto received = server.received();
  EXPECT_EQ(received[0].body, "a=x%26%22y%0A");
  EXPECT_EQ(received[1].body, "a=x&\"y\n");
  EXPECT_EQ(received[2].body, "a=x&\\\"y\\u000a");
}

TEST_F(Secrets, ThatAreExpandedAreNotExpandedAgain) {
  ScriptedServer server([](const Received&) { return reply(200); });
  auto sent = request("POST", server.url(), "ref-1 ref-2");
  sent.expansions = {{"ref-1", Secret("ref-2")}, {"ref-2", Secret("ref-1")}};
  ASSERT_TRUE(fetch(std::move(sent)));
  EXPECT_EQ(server.received()[0].body, "ref-2 ref-1");
}

TEST_F(Secrets, AWholeUrlMayBeOne) {
  ScriptedServer server([](const Received&) { return reply(200); });
  auto sent = request("POST", "ref-1?wait=true", "x");
  sent.expansions = {{"ref-1", Secret(server.url("/api/webhooks/1/abc"))}};
  const auto log = logged([&] { ASSERT_TRUE(fetch(std::move(sent))); });
  EXPECT_EQ(server.received()[0].target, "/api/webhooks/1/abc?wait=true");
  EXPECT_THAT(log, Not(HasSubstr("webhooks")));
}

TEST_F(Secrets, AWholeUrlIsCheckedAsAnyOther) {
  auto sent = request("POST", "ref-1", "x");
  sent.expansions = {{"ref-1", Secret("http://10.11.12.13/secret-path")}};
  EXPECT_EQ(errc(std::move(sent)), Errc::denied);
  EXPECT_THAT(last_message, HasSubstr("10.11.12.13"));
  EXPECT_THAT(last_message, Not(HasSubstr("secret-path")));
}

TEST_F(Secrets, AreNotLogged) {
  ScriptedServer server([](const Received&) { return reply(200, "reply-body-1"); });
  credentials.token = "token-12345";
  const auto log = logged([&] {
    auto sent = with_connection(request("POST", server.url("/path-1/ref-1?query=query-1"), "body-1 ref-1"));
    sent.headers = {{"X-Header", "value-1"}};
    sent.expansions = {{"ref-1", Secret("secret-12345")}};
    ASSERT_TRUE(fetch(std::move(sent)));
  });
  EXPECT_THAT(log, HasSubstr("test POST http://127.0.0.1:" + std::to_string(server.port()) + "/path-1/ref-1 "));
  EXPECT_THAT(log, HasSubstr("12 bytes: 200"));
  for (const char* hidden : {"token-12345", "secret-12345", "query-1", "value-1", "body-1"}) {
    EXPECT_THAT(log, Not(HasSubstr(hidden)));
  }
}

// A server that wants to see a secret in our log sends it back where we would name a host.
TEST_F(Secrets, AreNotInErrorsEvenWhenTheServerEchoesThem) {
  ScriptedServer server([](const Received& request) {
    return redirect(
        302, "https://" + request.header("x-hook") + "." + request.header("authorization").substr(7) + ".evil.test/");
  });
  credentials.token = "Token-12345";
  std::string message;
  const auto log = logged([&] {
    auto sent = with_connection(request("GET", server.url()));
    sent.allowed_hosts = std::make_shared<const std::vector<std::string>>(1, "127.0.0.1");
    sent.headers = {{"X-Hook", "ref-1"}};
    sent.expansions = {{"ref-1", Secret("secret-12345")}};
    EXPECT_EQ(errc(std::move(sent)), Errc::denied);
  });
  EXPECT_THAT(last_message, HasSubstr("***.***.evil.test: host is not among those"));
  for (const char* hidden : {"token-12345", "Token-12345", "secret-12345"}) {
    EXPECT_THAT(last_message, Not(HasSubstr(hidden)));
    EXPECT_THAT(log, Not(HasSubstr(hidden)));
  }
}

TEST_F(Secrets, CredentialsMayNotChangeTheHost) {
  ScriptedServer server([](const Received&) { return reply(200); });
  class Diverting : public CredentialSource {
   public:
    Result<> authorize(HttpRequest& request) override {
      request.url = "http://127.0.0.2/";
      return {};
    }
  } diverting;
  client = make_curl_client(loop, clock, diverting, settings).value();
  EXPECT_EQ(errc(with_connection(request("GET", server.url()))), Errc::denied);
  EXPECT_EQ(server.count(), 0U);
}

TEST_F(Secrets, OfOneAttemptAreNotInTheNext) {
  ScriptedServer server([n = 0](const Received&) mutable {
    return n++ == 0 ? reply(503, "", {{"Retry-After", "0"}}) : reply(200);
  });
  class Rotating : public CredentialSource {
   public:
    Result<> authorize(HttpRequest& request) override {
      const auto token = "token-" + std::to_string(++asked);
      request.headers.emplace_back("Authorization", token);
      request.url += "?access=" + token;
      return {};
    }
    int asked = 0;
  } rotating;
  client = make_curl_client(loop, clock, rotating, settings).value();
  ASSERT_TRUE(fetch(with_connection(request("GET", server.url("/x")))));
  const auto received = server.received();
  EXPECT_EQ(received[0].target, "/x?access=token-1");
  EXPECT_EQ(received[1].target, "/x?access=token-2");
  EXPECT_EQ(received[1].header("authorization"), "token-2");
}

}  // namespace
}  // namespace patchbay::egress::testing
