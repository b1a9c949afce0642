// The plugin acme and the resource server, with a token that was got by hand: what the other tests stand on.
#include <gmock/gmock.h>

#include "harness/clock.hpp"
#include "oauth/rig.hpp"

namespace patchbay::oauth {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class Acme : public OAuth {
 protected:
  void SetUp() override {
    if (const auto why = harness::OAuthServer::missing()) GTEST_SKIP() << *why;
    server_.emplace(nlohmann::json::object(), folder_.path() / "server.log");
    hosts_.push_back(std::make_unique<harness::Host>(harness::HostSettings{
        .folder = folder_.path(),
        .plugins = std::string(PATCHBAY_BUILD_DIRECTORY) + "/test-plugins/acme",
        .more = "[providers.acme]\nbase_url = \"" + server_->url("/api") + "\"\n"}));
    host().start();
    api_.emplace(host());
    api_->sign_up();
    api_->connect("acme", kAcme, access_token());
  }

  // Client credentials, without a host.
  std::string access_token() {
    const harness::Headers headers{{"Content-Type", "application/x-www-form-urlencoded"},
                                   {"Authorization", "Basic cGF0Y2hiYXk6cGF0Y2hiYXktc2VjcmV0"}};  // patchbay:patchbay-secret
    const auto reply = http_.send("POST", server_->url("/token"), headers, "grant_type=client_credentials&scope=notes.read%20notes.write");
    return reply.json().at("access_token");
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
  const std::string address = server_->url("/auth?client_id=patchbay&response_type=code&state=s&prompt=consent&scope=openid%20offline_access") +
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

}  // namespace
}  // namespace patchbay::oauth
