// The plugin acme and the resource server, with a token that was got by hand: what the other tests stand on.
#include <gmock/gmock.h>

#include "harness/clock.hpp"
#include "oauth/rig.hpp"
#include "support/postgresql_server.hpp"

namespace patchbay::oauth {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Acme : public OAuth {
 protected:
  void SetUp() override {
    if (const auto why = harness::OAuthServer::missing()) GTEST_SKIP() << *why;
    begin_with_token({.client = false});
  }

  void begin_with_token(const RigSettings& settings) {
    begin(settings);
    api_->connect("acme", kAcme, access_token());
  }

  // As the client does it that the server knows.
  harness::Reply post(const std::string& path, const std::string& form) {
    const harness::Headers headers{
        {"Content-Type", "application/x-www-form-urlencoded"},
        {"Authorization", "Basic cGF0Y2hiYXk6cGF0Y2hiYXktc2VjcmV0"}};  // patchbay:patchbay-secret
    return harness::Http().send("POST", server_->url(path), headers,
                                form);  // on a kept connection libcurl would repeat what is cut
  }

  std::string access_token() {
    return post("/token", "grant_type=client_credentials&scope=notes.read%20notes.write").json().at("access_token");
  }
};

TEST_F(Acme, ANoteThatIsFiredIsWritten) {
  const auto flow = activate_echo();
  ASSERT_THAT(server_->hooks(), SizeIs(1));
  fire(3, "knock");
  ASSERT_TRUE(wait_for_runs("completed", 3));
  const auto notes = server_->notes();
  ASSERT_THAT(notes, SizeIs(3));
  EXPECT_EQ(notes.front().at("text"), "knock 1");
  EXPECT_EQ(notes.front().at("author"), harness::kOAuthClient);
  api_->deactivate(flow);
  EXPECT_THAT(server_->hooks(), IsEmpty());
}

TEST_F(Acme, TwoHostsWriteEachNoteOnce) {
  begin_with_token({.database = support::PostgresqlServer::shared().make_database(), .hosts = 2, .client = false});
  activate_echo();
  fire(40);
  ASSERT_TRUE(wait_for_runs("completed", 40));
  EXPECT_THAT(server_->notes(), SizeIs(40));
}

TEST_F(Acme, ANewNoteIsNoticed) {
  api_->activate(api_->create_flow(nlohmann::json::parse(R"({"name": "Poll", "nodes": [
    {"id": "written", "trigger": "acme.new_note", "connection": "my acme"},
    {"id": "read", "reaction": "acme.read_notes", "connection": "my acme", "after": ["written"], "params": {"after": "{{ written.id - 1 }}"}}]})")));
  ASSERT_TRUE(harness::wait_until([&] { return server_->count("/api/notes", 200) > 0; }));
  const harness::Headers headers{{"Authorization", "Bearer " + access_token()}};
  ASSERT_EQ(http_.send("POST", server_->url("/api/notes"), headers, R"({"text": "news"})").status, 201);
  ASSERT_TRUE(wait_for_runs("completed", 1));
  const auto run = api_->get("/runs/" + api_->runs().front().at("id").get<std::string>());
  EXPECT_EQ(run.at("steps").back().at("output").at("notes").at(0).at("text"), "news");
}

// An address of the server is a redirect to the login, the consent and the client's callback.
TEST_F(Acme, ABrowserComesToTheCallback) {
  server_->allow_callbacks({callback_url()});
  const std::string address =
      server_->url("/auth?client_id=patchbay&response_type=code&state=s&prompt=consent&scope=openid%20offline_access") +
      "&redirect_uri=" + harness::url_escaped(callback_url()) +
      "&code_challenge_method=S256&code_challenge=" + std::string(43, 'a');
  const auto page = browser_.visit(address + "&login_hint=grace");
  EXPECT_TRUE(page.url.starts_with(callback_url())) << page.url << page.reply.body;
  EXPECT_EQ(harness::query_value(page.url, "state"), "s");
  EXPECT_FALSE(harness::query_value(browser_.visited(callback_url()), "code").empty());
  const auto refused = browser_.visit(address + "&decision=deny");
  EXPECT_EQ(harness::query_value(refused.url, "error"), "access_denied");
  ASSERT_THAT(server_->grants(), SizeIs(1));
  EXPECT_EQ(server_->grants().front().at("account"), "grace");
}

TEST_F(Acme, ABrowserApprovesADevice) {
  const auto begun = post("/device/auth", "scope=openid%20offline_access").json();
  EXPECT_EQ(begun.at("verification_uri"), server_->url("/device"));
  const auto ask = [&] {
    return post("/token", "grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code=" +
                              begun.at("device_code").get<std::string>())
        .json();
  };
  EXPECT_EQ(ask().at("error"), "authorization_pending");
  const auto confirmation = browser_.visit(begun.at("verification_uri_complete"));
  const auto done = browser_.submit(confirmation);
  EXPECT_THAT(done.reply.body, HasSubstr("Success"));
  EXPECT_TRUE(ask().contains("refresh_token"));
}

TEST_F(Acme, FailuresAreCountedAndConnectionsCut) {
  server_->fail({{"path", "/token"}, {"status", 503}, {"count", 2}});
  EXPECT_EQ(post("/token", "grant_type=refresh_token&refresh_token=x").status, 503);
  server_->stop_failing();
  EXPECT_EQ(post("/token", "grant_type=refresh_token&refresh_token=x").status, 400);
  server_->fail({{"path", "/token"}, {"cut", "before"}});
  EXPECT_EQ(post("/token", "grant_type=refresh_token&refresh_token=x").status, 0);
  EXPECT_EQ(server_->count_refreshes(), 3U);
  EXPECT_EQ(server_->count("/token", 0), 1U);
  EXPECT_EQ(server_->reuse(nlohmann::json::object()).at("status"), 0);
}

}  // namespace
}  // namespace patchbay::oauth
