#include "vault/token_refresher.hpp"

#include "vault/authorizing_client.hpp"
#include "vault_rig.hpp"

namespace patchbay::vault {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A GitHub account that was signed in to with a token of eight hours; the provider answers as `token_answer_` says.
class Refresher : public VaultRig {
 protected:
  void SetUp() override {
    VaultRig::SetUp();
    settings_.providers["github"].client.id = "app";
    settings_.providers["github"].client.secret = Secret("app secret");
    restart();
    client_.answer = [this](const egress::HttpRequest& request) -> Result<egress::HttpReply> {
      if (request.url.ends_with("/access_token")) return token_answer_;
      auto sent = request;
      if (!connections_->authorize(sent)) return fail(Errc::unauthenticated, "not authorized");
      used_.push_back(sent.headers.back().second);
      return egress::HttpReply{used_.back() == "Bearer " + good_token_ ? 200 : 401, {}, "{}"};
    };
    octo_ = connections_
                ->sign_in({.user = ada_,
                           .provider = "github",
                           .auth = "oauth",
                           .name = "octo",
                           .connection = {},
                           .fields = {{"access_token", Secret("at1")}, {"refresh_token", Secret("rt1")}},
                           .account_id = "1",
                           .account_name = "octo",
                           .scopes = Scopes{"repo"},
                           .expires = clock_.now() + hours{8}})
                .value()
                .id;
    refresher_.emplace(loop_, loop_, clock_, client_, *connections_);
    http_ = make_authorizing_client(clock_, client_, *connections_, *refresher_);
  }
  void TearDown() override {
    http_.reset();
    refresher_.reset();
    VaultRig::TearDown();
  }

  void answer_with(const std::string& token, const std::string& more = R"(,"expires_in":28800)") {
    good_token_ = token;
    token_answer_ = egress::HttpReply{200, {}, R"({"access_token":")" + token + R"(","refresh_token":"r)" + token + "\"" + more + "}"};
  }
  // One request of the account; its status, or 0.
  int call() {
    int status = -1;
    auto sent = request("github", octo_);
    sent.url = "https://api.github.com/user";
    http_->send(std::move(sent), [&](Result<egress::HttpReply> reply) { status = reply ? reply->status : 0; });
    EXPECT_TRUE(loop_.run_until([&] { return status != -1; }, seconds{20}));
    return status;
  }
  std::size_t refreshes() const {
    return static_cast<std::size_t>(std::ranges::count_if(client_.requests, [](const auto& sent) { return sent.url.ends_with("/access_token"); }));
  }
  Connection now() { return connections_->find(octo_).value(); }

  ConnectionId octo_;
  std::string good_token_ = "at1";
  Result<egress::HttpReply> token_answer_ = egress::HttpReply{500, {}, ""};
  std::vector<std::string> used_;
  std::optional<TokenRefresher> refresher_;
  std::unique_ptr<egress::HttpClient> http_;
};

TEST_F(Refresher, AGoodTokenIsUsedAsItIs) {
  EXPECT_EQ(call(), 200);
  EXPECT_EQ(refreshes(), 0U);
}

TEST_F(Refresher, NobodyWaitsAheadOfTheExpiry) {
  answer_with("at2");
  good_token_ = "at1";
  clock_.advance(hours{8} - minutes{4});
  EXPECT_EQ(call(), 200) << "with the one that is still good";
  ASSERT_TRUE(loop_.run_until([&] { return now().version == 2; }, seconds{5}));
  good_token_ = "at2";
  EXPECT_EQ(call(), 200);
  EXPECT_EQ(refreshes(), 1U);
}

TEST_F(Refresher, TwoHundredThatWaitMakeOneRequest) {
  answer_with("at2");
  clock_.advance(hours{9});
  int done = 0;
  for (int i = 0; i < 200; ++i) {
    auto sent = request("github", octo_);
    sent.url = "https://api.github.com/user";
    http_->send(std::move(sent), [&](const Result<egress::HttpReply>& reply) { done += reply && reply->status == 200 ? 1 : 0; });
  }
  ASSERT_TRUE(loop_.run_until([&] { return done == 200; }, seconds{20}));
  EXPECT_EQ(refreshes(), 1U);
}

// refreshed_token_survives_restart: what rotated is in the store before anybody uses it.
TEST_F(Refresher, refreshed_token_survives_restart) {
  answer_with("at2");
  clock_.advance(hours{9});
  EXPECT_EQ(call(), 200);
  http_.reset();
  refresher_.reset();
  restart();
  auto sent = request("github", octo_);
  ASSERT_TRUE(connections_->authorize(sent));
  EXPECT_EQ(sent.headers.back().second, "Bearer at2");
  EXPECT_EQ(connections_->fields(octo_)->at("refresh_token").reveal(), "rat2");
}

TEST_F(Refresher, ATokenThatCannotBeStoredIsNotLost) {
  answer_with("at2");
  const auto answer = client_.answer;
  client_.answer = [this, answer](const egress::HttpRequest& request) {
    if (request.url.ends_with("/access_token")) {  // the store is away when the new token comes
      execute("ALTER TABLE credentials RENAME TO credentials_away", {});
      loop_.after(milliseconds{700}, [this] { execute("ALTER TABLE credentials_away RENAME TO credentials", {}); });
    }
    return answer(request);
  };
  clock_.advance(hours{9});
  EXPECT_EQ(call(), 200);
  EXPECT_EQ(refreshes(), 1U);
  EXPECT_EQ(connections_->fields(octo_)->at("refresh_token").reveal(), "rat2");
}

TEST_F(Refresher, ATokenThatIsRefusedIsRenewedAndTheRequestMadeAgain) {
  answer_with("at2");
  EXPECT_EQ(call(), 200);
  EXPECT_EQ(used_, (std::vector<std::string>{"Bearer at1", "Bearer at2"}));
}

TEST_F(Refresher, AnInvalidGrantNeedsAPerson) {
  token_answer_ = egress::HttpReply{400, {}, R"({"error":"invalid_grant","error_description":"revoked"})"};
  clock_.advance(hours{9});
  EXPECT_EQ(call(), 0);
  EXPECT_EQ(now().state, ConnectionState::pending_reauth);
  EXPECT_THAT(now().error, HasSubstr("revoked"));
  EXPECT_EQ(refreshes(), 1U) << "that will not pass";
  EXPECT_EQ(call(), 0);
  EXPECT_EQ(refreshes(), 1U) << "and is not asked again";
}

TEST_F(Refresher, WhatMayPassIsTriedThreeTimesAndThenComesBackByItself) {
  token_answer_ = egress::HttpReply{503, {}, ""};
  clock_.advance(hours{9});
  EXPECT_EQ(call(), 0);
  EXPECT_EQ(refreshes(), 3U);
  EXPECT_EQ(now().state, ConnectionState::errored);
  answer_with("at2");
  refresher_->begin(milliseconds{10});
  loop_.run_until([] { return false; }, milliseconds{100});
  EXPECT_EQ(refreshes(), 3U) << "not before its time";
  clock_.advance(minutes{1});
  ASSERT_TRUE(loop_.run_until([&] { return now().state == ConnectionState::active; }, seconds{5}));
  EXPECT_EQ(call(), 200);
}

TEST_F(Refresher, ATokenThatHasItsTimeYetIsUsedWhenNoNewOneComes) {
  token_answer_ = egress::HttpReply{503, {}, ""};
  clock_.advance(hours{8} - minutes{4});
  EXPECT_EQ(call(), 200);
  EXPECT_EQ(call(), 200) << "while three tries go on";
  ASSERT_TRUE(loop_.run_until([&] { return refreshes() == 3 && !refresher_->is_renewing(octo_); }, seconds{10}));
  EXPECT_EQ(now().state, ConnectionState::active);
  EXPECT_EQ(call(), 200);
  EXPECT_EQ(refreshes(), 3U) << "not with each request";
}

TEST_F(Refresher, AGrantThatWasLostIsNoticed) {
  answer_with("at2", R"(,"expires_in":28800,"scope":"gist")");
  clock_.advance(hours{9});
  EXPECT_EQ(call(), 200);
  EXPECT_EQ(now().state, ConnectionState::needs_reconsent);
  EXPECT_THAT(now().error, HasSubstr("repo"));
  EXPECT_EQ(connections_->trouble(octo_, {"repo"})->missing, Scopes{"repo"});
  EXPECT_FALSE(connections_->trouble(octo_, {"gist"})) << "what it may do goes on";
}

TEST_F(Refresher, AStaticTokenThatIsRefusedNeedsAPerson) {
  const auto own = connect(ada_, "github", "mine", "ghp_dead");
  int status = -1;
  auto sent = request("github", own.id);
  sent.url = "https://api.github.com/user";
  http_->send(std::move(sent), [&](Result<egress::HttpReply> reply) { status = reply ? reply->status : 0; });
  ASSERT_TRUE(loop_.run_until([&] { return status != -1; }, seconds{5}));
  EXPECT_EQ(status, 401);
  EXPECT_EQ(connections_->find(own.id)->state, ConnectionState::pending_reauth);
}

// The turn is a row: a host that died with it gives it up after its time.
TEST_F(Refresher, AnotherHostsTurnIsWaitedFor) {
  settings_.host = "other";
  Connections other(*database_, *vault_, clock_, settings_);
  other.use_manifests(*registry_);
  ASSERT_TRUE(other.load());
  ASSERT_TRUE(std::holds_alternative<Renewal>(other.take_turn(octo_, 1).value()));
  EXPECT_TRUE(std::holds_alternative<WaitForOther>(connections_->take_turn(octo_, 1).value()));
  clock_.advance(seconds{31});
  const auto mine = connections_->take_turn(octo_, 1);
  ASSERT_TRUE(std::holds_alternative<Renewal>(*mine));
  ASSERT_TRUE(connections_->renewed(std::get<Renewal>(*mine), Tokens{Secret("at2"), Secret("rt2"), hours{8}, std::nullopt}));
  EXPECT_TRUE(std::holds_alternative<AlreadyRenewed>(other.take_turn(octo_, 1).value()));
  auto sent = request("github", octo_);
  ASSERT_TRUE(other.authorize(sent));
  EXPECT_EQ(sent.headers.back().second, "Bearer at2") << "it has read what the first one got";
}

}  // namespace
}  // namespace patchbay::vault
