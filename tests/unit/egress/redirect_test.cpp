#include "client_fixture.hpp"

namespace patchbay::egress::testing {
namespace {

using ::testing::HasSubstr;

class Redirect : public ClientTest {};

TEST_F(Redirect, IsFollowedAndKeepsCredentialsOnTheSameOrigin) {
  ScriptedServer server(
      [](const Received& request) { return request.target == "/a" ? redirect(302, "/b") : reply(200, "there"); });
  credentials.token = "token-1";
  EXPECT_EQ(fetch(with_connection(request("GET", server.url("/a")))).value().body, "there");
  EXPECT_EQ(credentials.asked, 2) << "right before each attempt";
  EXPECT_EQ(server.received()[1].header("authorization"), "Bearer token-1");
}

struct MethodCase {
  int status;
  std::string method;
  std::string expected_method;
  std::string expected_body;
};
class RedirectMethod : public ClientTest, public ::testing::WithParamInterface<MethodCase> {};

TEST_P(RedirectMethod, AndBody) {
  const auto& expected = GetParam();
  ScriptedServer server(
      [&](const Received& request) { return request.target == "/a" ? redirect(expected.status, "/b") : reply(200); });
  auto first = request(expected.method, server.url("/a"), expected.method == "GET" ? "" : "body");
  first.headers = {{"Content-Type", "text/plain"}, {"X-Kept", "yes"}};
  ASSERT_EQ(fetch(std::move(first)).value().status, 200);
  const auto second = server.received()[1];
  EXPECT_EQ(second.method, expected.expected_method);
  EXPECT_EQ(second.body, expected.expected_body);
  EXPECT_EQ(second.header("x-kept"), "yes");
  const bool was_rewritten = expected.method != expected.expected_method;
  EXPECT_EQ(second.headers.count("content-type"), was_rewritten ? 0U : 1U);
}

INSTANTIATE_TEST_SUITE_P(All, RedirectMethod,
                         ::testing::Values(MethodCase{301, "POST", "GET", ""}, MethodCase{302, "POST", "GET", ""},
                                           MethodCase{303, "POST", "GET", ""}, MethodCase{303, "PUT", "GET", ""},
                                           MethodCase{302, "PUT", "PUT", "body"}, MethodCase{301, "GET", "GET", ""},
                                           MethodCase{307, "POST", "POST", "body"},
                                           MethodCase{308, "POST", "POST", "body"}));

TEST_F(Redirect, ToAnotherOriginDropsCredentialsForGood) {
  std::string back;
  ScriptedServer other([&](const Received&) { return redirect(307, back); });
  ScriptedServer first([&](const Received& request) {
    return request.target == "/a" ? redirect(307, other.url("/x")) : reply(200, "back");
  });
  back = first.url("/b");
  credentials.token = "token-1";
  auto sent = with_connection(request("POST", first.url("/a"), "body"));
  sent.expansions = {{"ref-1", Secret("secret-1")}};
  sent.headers = {{"Cookie", "c=1"}, {"Authorization", "Basic abc"}, {"X-Hook", "ref-1"}, {"X-Kept", "yes"}};
  EXPECT_EQ(fetch(std::move(sent)).value().body, "back");
  EXPECT_EQ(first.received()[0].header("x-hook"), "secret-1");
  EXPECT_EQ(credentials.asked, 1);
  for (const auto& later : {other.received()[0], first.received()[1]}) {
    EXPECT_EQ(later.headers.count("authorization"), 0U);
    EXPECT_EQ(later.headers.count("cookie"), 0U);
    EXPECT_EQ(later.headers.count("x-hook"), 0U);
    EXPECT_EQ(later.header("x-kept"), "yes");
    EXPECT_EQ(later.body, "body");
  }
}

TEST_F(Redirect, DoesNotCarryASecretBodyElsewhere) {
  ScriptedServer other([](const Received&) { return reply(200); });
  ScriptedServer first([&](const Received&) { return redirect(308, other.url()); });
  auto sent = request("POST", first.url(), "ref-1");
  sent.expansions = {{"ref-1", Secret("secret-1")}};
  EXPECT_EQ(errc(std::move(sent)), Errc::denied);
  EXPECT_THAT(last_message, HasSubstr("would carry a secret"));
  EXPECT_EQ(other.count(), 0U);
}

TEST_F(Redirect, EndsAfterFive) {
  ScriptedServer server([](const Received&) { return redirect(302, "/again"); });
  EXPECT_EQ(errc(request("GET", server.url())), Errc::unavailable);
  EXPECT_THAT(last_message, HasSubstr("more than 5 redirects"));
  EXPECT_EQ(server.count(), 6U);
}

TEST_F(Redirect, MayNotLeaveTheAllowedHosts) {
  ScriptedServer server([](const Received& request) {
    return redirect(302, "http://localhost:" + request.header("host").substr(request.header("host").find(':') + 1));
  });
  auto sent = request("GET", server.url());
  sent.allowed_hosts = std::make_shared<const std::vector<std::string>>(1, "127.0.0.1");
  EXPECT_EQ(errc(std::move(sent)), Errc::denied);
  EXPECT_THAT(last_message, HasSubstr("localhost: host is not among those"));
  EXPECT_EQ(server.count(), 1U);
}

TEST_F(Redirect, IsGuardedAsTheFirstRequestIs) {
  std::string location;
  ScriptedServer server([&](const Received&) { return redirect(302, location); });
  for (const char* target :
       {"http://169.254.169.254/latest/meta-data", "http://[::ffff:10.0.0.1]/", "https://10.0.0.1/", "ftp://127.0.0.1/",
        "file:///etc/passwd", "http://user:pw@127.0.0.1/", "http:///"}) {
    location = target;
    EXPECT_EQ(errc(request("GET", server.url())), Errc::denied) << target << " " << last_message;
  }
}

TEST_F(Redirect, WithoutLocationIsAnAnswer) {
  ScriptedServer server([](const Received& request) { return reply(request.target == "/304" ? 304 : 302, ""); });
  EXPECT_EQ(get(server.url("/302")).value().status, 302);
  EXPECT_EQ(get(server.url("/304")).value().status, 304);
}

}  // namespace
}  // namespace patchbay::egress::testing
