// What becomes of a connection's tokens: refresh, rotation, the family's end, a provider that is down.
#include <gmock/gmock.h>

#include <thread>

#include "harness/clock.hpp"
#include "oauth/rig.hpp"
#include "support/postgresql_server.hpp"

namespace patchbay::oauth {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// Many attempts, soon after each other: a run that waits for its connection does not give up before the test does.
const json kPatient{{"attempts", 100}, {"first_ms", 200}, {"longest_ms", 3000}};

class Refresh : public OAuth {
 protected:
  // The connection cannot go on: its runs wait, and a new consent lets them.
  void expect_to_wait_for_consent(const std::string& id, const std::string& account = "ada");
};

void Refresh::expect_to_wait_for_consent(const std::string& id, const std::string& account) {
  const auto notes = server_->notes().size();
  fire();
  ASSERT_TRUE(wait_for_state(id, "pending_reauth")) << connection(id);
  EXPECT_FALSE(connection(id).at("error").is_null());
  const auto tested = test(id);
  EXPECT_EQ(tested.at("ok"), false);
  EXPECT_FALSE(tested.at("error").get<std::string>().empty());

  ASSERT_TRUE(harness::wait_until([&] { return step_status("write") == "pending"; })) << step_status("write");
  const auto run = api_->runs().front();
  EXPECT_THAT((std::vector<std::string>{"running", "pending"}), Contains(run.at("status").get<std::string>()));
  const auto before = server_->log_position();
  EXPECT_THAT(server_->notes(), SizeIs(notes));

  EXPECT_EQ(connect({{"connection", id}}, account), id);
  EXPECT_EQ(connection(id).at("state"), "active");
  EXPECT_TRUE(connection(id).at("error").is_null());
  ASSERT_TRUE(wait_for_runs("completed", 1));
  EXPECT_THAT(server_->notes(), SizeIs(notes + 1));
  EXPECT_EQ(server_->count("/token", 400, before), 0U) << "a dead token is not tried again";
}

// Nobody waits for a refresh at the provider, and nobody sees a 401.
TEST_F(Refresh, IsAheadOfTheExpiryAndRotates) {
  begin({.server = {{"access_token_seconds", 4}}});
  const auto id = connect();
  activate_echo();
  const auto since = server_->log_position();
  std::size_t fired = 0;
  ASSERT_TRUE(harness::wait_until(
      [&] {
        fire(1);
        ++fired;
        return server_->count_refreshes(since) >= 3;
      },
      seconds(60), std::chrono::milliseconds(250)));
  ASSERT_TRUE(wait_for_runs("completed", fired));
  EXPECT_EQ(server_->count("/api/notes", 401, since), 0U);
  EXPECT_EQ(server_->count("/token", 400, since), 0U) << "each refresh token is used once";
  EXPECT_THAT(server_->grants(), SizeIs(1));
  EXPECT_EQ(connection(id).at("state"), "active");
}

TEST_F(Refresh, WithoutRotationTheTokenIsKept) {
  begin({.server = {{"rotate", false}}});
  const auto id = connect();
  for (int i = 0; i < 3; ++i) {
    server_->expire(json::object());
    EXPECT_EQ(test(id).at("ok"), true) << i;
  }
  EXPECT_EQ(server_->count_refreshes(), 3U);
}

TEST_F(Refresh, FollowsA401) {
  const auto id = connect();
  activate_echo();
  server_->expire(json::object());
  fire();
  ASSERT_TRUE(wait_for_runs("completed", 1));
  EXPECT_EQ(server_->count_refreshes(), 1U);
  EXPECT_EQ(server_->count("/api/notes", 401), 1U);
  EXPECT_THAT(server_->notes(), SizeIs(1));
}

TEST_F(Refresh, SurvivesARestart) {
  const auto id = connect();
  server_->expire(json::object());
  EXPECT_EQ(test(id).at("ok"), true);
  host().kill();
  host().start();
  server_->expire(json::object());
  EXPECT_EQ(test(id).at("ok"), true) << "what replaced the refresh token was stored before it was used";
  EXPECT_EQ(server_->count("/token", 400), 0U);
}

// RFC 9700, 4.14.2: the server cannot know who of the two is the thief.
TEST_F(Refresh, AReusedTokenEndsTheFamily) {
  const auto id = connect();
  activate_echo(kPatient);
  server_->expire(json::object());
  EXPECT_EQ(test(id).at("ok"), true);
  EXPECT_EQ(server_->reuse({{"account", "ada"}}), json({{"status", 400}, {"error", "invalid_grant"}}));
  EXPECT_THAT(server_->grants(), IsEmpty());
  expect_to_wait_for_consent(id);
}

TEST_F(Refresh, ARevokedFamilyWaitsForConsent) {
  const auto id = connect();
  activate_echo(kPatient);
  server_->revoke(json::object());
  expect_to_wait_for_consent(id);
}

// The server has replaced the refresh token, and its answer was lost. To try the old one again is a reuse; there is no
// way back, but neither an endless loop.
TEST_F(Refresh, AnAnswerThatIsLostEndsInConsent) {
  const auto id = connect();
  activate_echo(kPatient);
  server_->expire(json::object());
  server_->fail({{"path", "/token"}, {"cut", "after"}});
  expect_to_wait_for_consent(id);
  EXPECT_LE(server_->count_refreshes(), 3U);
}

TEST_F(Refresh, ABadMomentIsWaitedOut) {
  const auto id = connect();
  activate_echo(kPatient);
  server_->expire(json::object());
  server_->fail({{"path", "/token"}, {"status", 503}, {"count", 2}});
  fire();
  ASSERT_TRUE(wait_for_runs("completed", 1));
  EXPECT_EQ(connection(id).at("state"), "active");
  EXPECT_EQ(server_->count("/token", 503), 2U);
  EXPECT_EQ(server_->count_refreshes(), 3U);
}

TEST_F(Refresh, AProviderThatIsDownForLongComesBack) {
  const auto id = connect();
  activate_echo(kPatient);
  server_->expire(json::object());
  server_->fail({{"path", "/token"}, {"status", 503}, {"count", 100000}});
  fire();
  ASSERT_TRUE(wait_for_state(id, "errored", seconds(90))) << connection(id);
  EXPECT_THAT(connection(id).at("error").get<std::string>(), HasSubstr("503"));
  EXPECT_LT(server_->count_refreshes(), 200U) << "it does not hammer";
  server_->stop_failing();
  ASSERT_TRUE(wait_for_state(id, "active", seconds(90))) << connection(id);
  ASSERT_TRUE(wait_for_runs("completed", 1));
}

// All of them begin before the refresh has ended: the token endpoint takes its time.
TEST_F(Refresh, TwoHundredCallsAfterA401MakeOneRequest) {
  begin({.more = "[engine]\nconcurrent_reactions = 200\n"});
  connect();
  activate_echo();
  server_->expire(json::object());
  server_->fail({{"path", "/token"}, {"delay_ms", 1000}});
  fire(200);
  ASSERT_TRUE(wait_for_runs("completed", 200, seconds(90)));
  EXPECT_EQ(server_->count_refreshes(), 1U);
  EXPECT_THAT(server_->notes(), SizeIs(200));
}

// The first token lives for 4 s, those after it for an hour. A refresh takes 3 s, so one that began ahead of the expiry
// is still under way when the calls come.
TEST_F(Refresh, TwoHundredCallsOnAnExpiredTokenMakeOneRequest) {
  begin({.server = {{"access_token_seconds", 4}}, .more = "[engine]\nconcurrent_reactions = 200\n"});
  connect();
  server_->change({{"access_token_seconds", 3600}});
  activate_echo();
  server_->fail({{"path", "/token"}, {"delay_ms", 3000}, {"count", 1000}});
  std::this_thread::sleep_for(std::chrono::milliseconds(4500));  // the host's clock is the machine's
  fire(200);
  ASSERT_TRUE(wait_for_runs("completed", 200, seconds(90)));
  EXPECT_EQ(server_->count_refreshes(), 1U);
  EXPECT_THAT(server_->notes(), SizeIs(200));
}

TEST_F(Refresh, TwoHostsOnOneDatabaseMakeOneRequest) {
  auto& databases = support::PostgresqlServer::shared();
  begin({.more = "[engine]\nconcurrent_reactions = 100\n", .database = databases.make_database(), .hosts = 2});
  const auto id = connect();
  activate_echo();
  // Both know the connection before its token dies.
  fire(20);
  ASSERT_TRUE(wait_for_runs("completed", 20));
  const auto since = server_->log_position();
  server_->expire(json::object());
  server_->fail({{"path", "/token"}, {"delay_ms", 1000}});
  fire(200, "shared");
  ASSERT_TRUE(wait_for_runs("completed", 220, seconds(120)));
  EXPECT_EQ(server_->count_refreshes(since), 1U);
  EXPECT_EQ(server_->count("/token", 400, since), 0U);
  EXPECT_THAT(server_->notes(), SizeIs(220));
  EXPECT_EQ(connection(id).at("state"), "active");
}

TEST_F(Refresh, AsGitHubDoesIt) {
  begin({.token_path = "/quirks/github/token"});
  const auto id = connect();
  activate_echo(kPatient);
  EXPECT_THAT(connection(id).at("scopes").get<std::vector<std::string>>(), Contains("notes.write"));
  for (int i = 0; i < 2; ++i) {
    server_->expire(json::object());
    EXPECT_EQ(test(id).at("ok"), true) << i;
  }
  server_->revoke(json::object());
  expect_to_wait_for_consent(id);  // the error came with status 200
}

// Without an expiry and without a refresh token.
TEST_F(Refresh, AsGitHubsOAuthAppsDoIt) {
  begin({.server = {{"github_expires", false}}, .token_path = "/quirks/github/token"});
  const auto id = connect();
  activate_echo(kPatient);
  EXPECT_TRUE(connection(id).at("expires_at").is_null());
  EXPECT_EQ(test(id).at("ok"), true);
  server_->expire(json::object());
  expect_to_wait_for_consent(id);
  EXPECT_EQ(server_->count_refreshes(), 0U);
}

TEST_F(Refresh, AsTwitchDoesIt) {
  begin({.token_path = "/quirks/twitch/token"});
  const auto id = connect();
  activate_echo(kPatient);
  EXPECT_THAT(connection(id).at("scopes").get<std::vector<std::string>>(), Contains("notes.write"));
  server_->expire(json::object());
  EXPECT_EQ(test(id).at("ok"), true);
  server_->revoke(json::object());
  expect_to_wait_for_consent(id);  // the error has no code
}

// The second consent brings no refresh token: the first one's is kept.
TEST_F(Refresh, AsGoogleDoesIt) {
  begin({.token_path = "/quirks/google/token"});
  const auto id = connect();
  EXPECT_EQ(connect({{"connection", id}}), id);
  for (int i = 0; i < 2; ++i) {
    server_->expire(json::object());
    EXPECT_EQ(test(id).at("ok"), true) << i;
  }
  EXPECT_EQ(server_->count_refreshes(), 2U);
  EXPECT_EQ(connection(id).at("state"), "active");
}

}  // namespace
}  // namespace patchbay::oauth
