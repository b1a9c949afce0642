#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/loop.hpp"
#include "egress/budgeted_client.hpp"
#include "egress/rate_budgets.hpp"
#include "support/fake_http_client.hpp"

namespace patchbay::egress {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const Timestamp kNow{seconds{1'700'000'000}};

HttpRequest request(std::string method, std::string url, std::string provider = "github") {
  HttpRequest made;
  made.method = std::move(method);
  made.url = std::move(url);
  made.provider = std::move(provider);
  return made;
}

TEST(RouteOf, KeepsTheFirstIdAndNoOther) {
  EXPECT_EQ(route_of("POST", "https://discord.com/api/v10/channels/1100000000000000001/messages/22?x=1"),
            "POST /api/v10/channels/1100000000000000001/messages/:");
  EXPECT_EQ(route_of("GET", "https://api.github.com/repos/octo/hello/issues"), "GET /repos/octo/hello/issues");
  EXPECT_EQ(route_of("GET", "https://example.org"), "GET /");
}

class Budgets : public ::testing::Test {
 protected:
  void answer(const HttpRequest& to, int status, Headers headers) { budgets_.learn(to, {status, std::move(headers), ""}, now_); }
  bool may(const HttpRequest& one) { return !budgets_.take(one, now_).has_value(); }
  RateBudgets budgets_;
  Timestamp now_ = kNow;
};

// docs.github.com, "Rate limits for the REST API": one count for a resource, whatever the route; reset in epoch seconds.
TEST_F(Budgets, Github) {
  const auto issues = request("POST", "https://api.github.com/repos/o/h/issues");
  const auto user = request("GET", "https://api.github.com/user");
  EXPECT_TRUE(may(issues)) << "nothing is known yet";
  answer(issues, 201, {{"x-ratelimit-limit", "5000"}, {"x-ratelimit-remaining", "2"}, {"x-ratelimit-reset", "1700000060"}, {"x-ratelimit-resource", "core"}});
  answer(user, 200, {{"x-ratelimit-limit", "5000"}, {"x-ratelimit-remaining", "1"}, {"x-ratelimit-reset", "1700000060"}, {"x-ratelimit-resource", "core"}});
  EXPECT_TRUE(may(issues));
  EXPECT_EQ(budgets_.take(user, now_), kNow + seconds{60}) << "both count in core";
  auto other = user;
  other.connection = ConnectionId::make(kNow);
  EXPECT_TRUE(may(other)) << "another account";
  now_ += seconds{60};
  EXPECT_TRUE(may(issues));
}

TEST_F(Budgets, GithubsSecondaryLimitIsA403WithRetryAfter) {
  const auto issues = request("POST", "https://api.github.com/repos/o/h/issues");
  answer(issues, 403, {{"retry-after", "90"}, {"x-ratelimit-remaining", "4000"}, {"x-ratelimit-reset", "1700003000"}, {"x-ratelimit-resource", "core"}});
  EXPECT_EQ(budgets_.take(issues, now_), kNow + seconds{90});
}

// discord.com/developers, "Rate Limits": a bucket counts each channel by itself; the reset is a span with decimals.
TEST_F(Budgets, DiscordsBuckets) {
  const auto here = request("POST", "https://discord.com/api/v10/channels/1100000000000000001/messages", "discord");
  const auto there = request("POST", "https://discord.com/api/v10/channels/1100000000000000002/messages", "discord");
  answer(here, 200, {{"x-ratelimit-limit", "5"}, {"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset", "1700000002.5"},
                     {"x-ratelimit-reset-after", "2.500"}, {"x-ratelimit-bucket", "abcd1234"}});
  EXPECT_EQ(budgets_.take(here, now_), kNow + milliseconds{2500});
  EXPECT_TRUE(may(there));
  answer(there, 429, {{"retry-after", "1"}, {"x-ratelimit-global", "true"}, {"x-ratelimit-scope", "global"}});
  EXPECT_FALSE(may(there));
  EXPECT_FALSE(may(request("GET", "https://discord.com/api/v10/users/@me", "discord"))) << "the global limit is everybody's";
  now_ += seconds{1};
  EXPECT_TRUE(may(there));
  EXPECT_FALSE(may(here));
}

// dev.twitch.tv, "Twitch API Concepts": Ratelimit-Reset is a moment; the IETF draft's is a span.
TEST_F(Budgets, TwitchAndTheDraft) {
  const auto users = request("GET", "https://api.twitch.tv/helix/users", "twitch");
  answer(users, 200, {{"ratelimit-limit", "800"}, {"ratelimit-remaining", "0"}, {"ratelimit-reset", "1700000030"}});
  EXPECT_EQ(budgets_.take(users, now_), kNow + seconds{30});
  const auto draft = request("GET", "https://api.example.org/x", "http");
  answer(draft, 200, {{"ratelimit-limit", "10"}, {"ratelimit-remaining", "0"}, {"ratelimit-reset", "7"}});
  EXPECT_EQ(budgets_.take(draft, now_), kNow + seconds{7});
}

// developer.spotify.com, "Rate Limits": only 429 with Retry-After.
TEST_F(Budgets, ANewWindowIsFilledAndThenItsAnswersAreWaitedFor) {
  const auto one = request("GET", "https://api.example.org/x");
  answer(one, 200, {{"x-ratelimit-limit", "3"}, {"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset-after", "5"}});
  now_ += seconds{5};
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(may(one));
  EXPECT_LE(*budgets_.take(one, now_), now_ + seconds{1}) << "not for long: the answers will say";
  answer(one, 200, {{"x-ratelimit-limit", "3"}, {"x-ratelimit-remaining", "1"}, {"x-ratelimit-reset-after", "5"}});
  EXPECT_TRUE(may(one));
  EXPECT_EQ(budgets_.take(one, now_), now_ + seconds{5});
}

TEST_F(Budgets, ThoseThatWaitHaveATimeEach) {
  const auto one = request("GET", "https://api.example.org/x");
  answer(one, 200, {{"x-ratelimit-limit", "5"}, {"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset-after", "10"}});
  for (int i = 0; i < 8; ++i) EXPECT_EQ(budgets_.take(one, now_), kNow + seconds{10} + seconds{2} * i) << "five in ten seconds";
}

TEST_F(Budgets, Spotify) {
  const auto me = request("GET", "https://api.spotify.com/v1/me", "spotify");
  answer(me, 200, {});
  EXPECT_TRUE(may(me));
  answer(me, 429, {{"retry-after", "12"}});
  EXPECT_EQ(budgets_.take(me, now_), kNow + seconds{12});
}

TEST_F(Budgets, WhatMakesNoSenseIsNoLimit) {
  const auto one = request("GET", "https://api.example.org/x");
  answer(one, 200, {{"x-ratelimit-remaining", "many"}, {"x-ratelimit-reset", "soon"}});
  answer(one, 200, {{"x-ratelimit-remaining", "-1"}, {"x-ratelimit-reset", "nan"}});
  answer(one, 200, {{"x-ratelimit-remaining", "0"}});
  EXPECT_TRUE(may(one));
  answer(one, 429, {{"retry-after", "99999999999"}});
  EXPECT_LE(*budgets_.take(one, now_), kNow + std::chrono::hours{24}) << "no header stops a connection for ever";
}

TEST_F(Budgets, AreBoundedInNumber) {
  for (int i = 0; i < 25'000; ++i) {
    answer(request("GET", "https://api.example.org/r" + std::to_string(i)), 200, {{"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset", "60"}});
  }
  EXPECT_LE(budgets_.size(), 10'000U);
}

class BudgetedClientTest : public ::testing::Test {
 protected:
  BudgetedClientTest() {
    auto fake = std::make_unique<support::FakeHttpClient>(loop_);
    fake_ = fake.get();
    client_ = make_budgeted_client(loop_, clock_, std::move(fake), milliseconds{200});
  }
  Result<HttpReply> get(const std::string& url) {
    std::optional<Result<HttpReply>> got;
    client_->send(request("GET", url), [&](Result<HttpReply> reply) { got = std::move(reply); });
    loop_.run_until([&] { return got.has_value(); }, seconds{5});
    return got.value_or(fail(Errc::timeout, "no answer"));
  }
  void answer_with(int remaining, const std::string& reset_after) {
    fake_->answer = [=](const auto&) {
      return HttpReply{200, {{"x-ratelimit-remaining", std::to_string(remaining)}, {"x-ratelimit-reset-after", reset_after}}, "{}"};
    };
  }
  Loop loop_;
  const Clock& clock_ = system_clock();
  support::FakeHttpClient* fake_ = nullptr;
  std::unique_ptr<HttpClient> client_;
};

TEST_F(BudgetedClientTest, AShortWaitIsHeldALongOneIsAnswered) {
  answer_with(0, "0.1");
  EXPECT_EQ(get("https://a/x")->status, 200);
  const auto began = std::chrono::steady_clock::now();
  answer_with(0, "60");
  EXPECT_EQ(get("https://a/x")->status, 200);
  EXPECT_GE(std::chrono::steady_clock::now() - began, milliseconds{90});
  const auto refused = get("https://a/x");
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 429);
  EXPECT_EQ(refused->header("x-patchbay-budget"), "spent");
  EXPECT_NEAR(std::stoi(std::string(refused->header("retry-after"))), 60, 1);
  EXPECT_EQ(fake_->requests.size(), 2U) << "the provider was not asked";
  EXPECT_EQ(get("https://a/y")->status, 200);
}

TEST_F(BudgetedClientTest, CancelsWhatWaitsAndWhatIsSent) {
  answer_with(0, "0.15");
  (void)get("https://a/x");
  std::vector<Errc> codes;
  const auto note = [&](Result<HttpReply> reply) { codes.push_back(reply ? Errc::internal : reply.error().code); };
  client_->cancel(client_->send(request("GET", "https://a/x"), note));
  fake_->silent = true;
  client_->cancel(client_->send(request("GET", "https://a/y"), note));
  loop_.run_until([&] { return codes.size() == 2; }, seconds{5});
  EXPECT_THAT(codes, ::testing::ElementsAre(Errc::cancelled, Errc::cancelled));
}

}  // namespace
}  // namespace patchbay::egress
