// Runs whose account is not well.
#include "engine_rig.hpp"

namespace patchbay::engine {
namespace {

using ::testing::HasSubstr;
using std::chrono::hours;
using std::chrono::seconds;
using vault::ConnectionState;

class AccountOfARun : public EngineRig {
 protected:
  ConnectionId team() { return connections_->find_by_name(user_, "team").value().id; }
  void break_account() { ASSERT_TRUE(connections_->refused(team(), connections_->find(team())->version, "the token was revoked")); }
  void mend_account() {
    ASSERT_TRUE(connections_->sign_in({.user = user_, .provider = "discord", .auth = "account", .name = "team", .connection = team(),
                                       .fields = {{"token", Secret("bot2")}}, .account_id = {}, .account_name = {}, .scopes = {}, .expires = {}}));
  }
  bool at_rest() {
    return loop_->run_until([&] { return engine_->runs_in_memory() == 0; }, seconds{10});
  }
  // Its status and error.
  std::pair<std::string, std::string> step() {
    std::pair<std::string, std::string> found;
    (void)database_->read([&](store::Transaction& transaction) -> Result<> {
      (void)transaction.execute("SELECT status, error FROM steps WHERE node_id = 'tell'", {},
                                [&](const store::Row& row) { found = std::pair(std::string(row.text(0)), std::string(row.text(1))); });
      return {};
    });
    return found;
  }
};

TEST_F(AccountOfARun, IsWaitedForAndTheRunGoesOn) {
  activate(demo());
  break_account();
  EXPECT_EQ(deliver(issue("x"), "d1"), 204);
  ASSERT_TRUE(at_rest());
  EXPECT_EQ(messages(), 0U) << "it is not tried";
  EXPECT_EQ(step().first, "pending");
  EXPECT_THAT(step().second, HasSubstr("pending_reauth: the token was revoked"));
  mend_account();
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  EXPECT_EQ(messages(), 1U);
}

TEST_F(AccountOfARun, IsWaitedForOverARestartAndAMonth) {
  activate(demo());
  break_account();
  EXPECT_EQ(deliver(issue("x"), "d1"), 204);
  ASSERT_TRUE(at_rest());
  crash();
  clock_.advance(hours{24 * 30});
  boot();
  loop_->run_until([] { return false; }, std::chrono::milliseconds{300});
  EXPECT_EQ(messages(), 0U);
  EXPECT_EQ(runs({"running"}).size(), 1U);
  mend_account();
  ASSERT_TRUE(wait_for_runs(1, "completed"));
}

TEST_F(AccountOfARun, ThatIsRefusedWhileItIsAskedCostsNoAttempt) {
  activate(demo(R"(,"retry":{"attempts":1})"));
  discord_answers_ = {egress::HttpReply{401, {}, R"({"message":"401: Unauthorized"})"}};
  client_->silent_to = [this](const egress::HttpRequest& request) {  // as the client does that waits for new tokens
    if (request.provider == "discord" && messages() == 1) (void)connections_->refused(team(), 1, "401");
    return false;
  };
  EXPECT_EQ(deliver(issue("x"), "d1"), 204);
  ASSERT_TRUE(at_rest());
  EXPECT_EQ(messages(), 1U);
  EXPECT_EQ(step().first, "pending");
  mend_account();
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  EXPECT_EQ(messages(), 2U);
}

TEST_F(AccountOfARun, ThatIsRemovedEndsTheWait) {
  activate(demo());
  break_account();
  EXPECT_EQ(deliver(issue("x"), "d1"), 204);
  ASSERT_TRUE(at_rest());
  discord_answers_ = {egress::HttpReply{401, {}, "{}"}};  // what authorize() makes of it in the host
  ASSERT_TRUE(connections_->remove(user_, team()));
  ASSERT_TRUE(wait_for_runs(1, "failed"));
}

TEST_F(AccountOfARun, OthersGoOn) {
  activate(demo());
  break_account();
  EXPECT_EQ(deliver(issue("x"), "d1"), 204);
  EXPECT_EQ(deliver(issue("y", "calm"), "d2"), 204);  // a branch without that account
  ASSERT_TRUE(wait_for_runs(1, "completed"));
}

}  // namespace
}  // namespace patchbay::engine
