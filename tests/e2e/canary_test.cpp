// One host through everything that can go wrong with a secret in its hands; then nothing of what it wrote or said holds one.
#include <gmock/gmock.h>

#include "e2e/spine.hpp"
#include "harness/clock.hpp"
#include "support/postgresql_server.hpp"

namespace patchbay::e2e {
namespace {

using harness::wait_until;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class Canary : public Spine, public ::testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    settings_.log_level = "trace";
    settings_.more = "[providers.github.oauth]\nclient_id = \"canary app\"\nclient_secret = \"canary-client-secret-4711\"\n";
    if (GetParam() == "postgresql") settings_.database = support::PostgresqlServer::shared().make_database();
    Spine::SetUp();
    api_->canaries().add("the client's secret", "canary-client-secret-4711");
  }
  // Every answer is looked through by call().
  void read_everything() {
    for (const auto* path : {"/connections", "/providers", "/providers/github", "/runs", "/deliveries", "/dead-letters", "/audit", "/notifications", "/auth/me",
                             "/auth/keys", "/flows"}) {
      EXPECT_EQ(api_->call("GET", path).status, 200) << path;
    }
    for (const auto* list : {"/connections", "/runs", "/deliveries", "/flows"}) {
      const auto page = api_->get(list);
      for (const auto& one : page.at("data")) api_->get(std::string(list) + "/" + one.at("id").get<std::string>());
    }
  }
};

TEST_P(Canary, NoSecretIsWhereItMayNotBe) {
  // Good calls, refused ones, a provider that is gone, a signature that is wrong.
  ASSERT_EQ(post_urgent_issue("d1").status, 204);
  ASSERT_TRUE(wait_for_runs("completed", 1));
  EXPECT_EQ(post_hook(issue_body("forged"), "d2", "sha256=00").status, 401);
  const auto dead = api_->connect("github", "dead", "ghp_canary_of_a_dead_token");
  EXPECT_EQ(api_->call("POST", "/connections/" + dead + "/test").status, 200);
  EXPECT_EQ(api_->call("POST", "/connections", {{"provider", "github"}, {"name", "bad"}, {"auth", {{"type", "token"}, {"token", "ghp_canary\nof_a_bad_one"}}}}).status, 400);
  EXPECT_EQ(api_->call("POST", "/connections/authorize", {{"provider", "github"}}).status, 201);
  EXPECT_EQ(http_.send("GET", host_->url("/oauth2/callback?state=canary-state-0815&code=canary-code-0815")).status, 403);
  EXPECT_THAT(host_->log(), Not(HasSubstr("canary-code-0815"))) << "the address of the callback";
  read_everything();
  // What a crash leaves, and what the next start says.
  host_->kill();
  host_->start();
  ASSERT_EQ(post_urgent_issue("d3").status, 204);
  ASSERT_TRUE(wait_for_runs("completed", 2));
  read_everything();
  EXPECT_EQ(host_->stop(), 0);
  api_->canaries().add("a dead token", "ghp_canary_of_a_dead_token");
  if (GetParam() != "postgresql") return;
  EXPECT_THAT(api_->canaries().found_below(support::PostgresqlServer::shared().folder()), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Databases, Canary, ::testing::Values("sqlite", "postgresql"), [](const auto& info) { return info.param; });

}  // namespace
}  // namespace patchbay::e2e
