#include "discord/simulator/discord_simulator.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "harness/http.hpp"
#include "plugins/rig.hpp"

namespace patchbay::plugins_test {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr const char* kChannel = "1100000000000000001";

struct DiscordSimulator : testing::Test {
  ManualClock clock;
  simulators::DiscordSettings settings{.common = {.record_file = record_file()}, .clock = &clock};
  std::optional<simulators::DiscordSimulator> discord;
  harness::Http http;

  void SetUp() override { restart(); }
  void restart() { discord.emplace(settings); }

  harness::Reply call(const std::string& method, const std::string& path, const json& body = nullptr,
                      const std::string& token = "Bot simulated.bot.token") {
    harness::Headers headers{{"User-Agent", "DiscordBot (https://example.org, 1)"},
                             {"Content-Type", "application/json"}};
    if (!token.empty()) headers.emplace_back("Authorization", token);
    return http.send(method, discord->base_url() + path, headers, body.is_null() ? "" : body.dump());
  }
  harness::Reply post(const json& body, const std::string& channel = kChannel) {
    return call("POST", "/api/v10/channels/" + channel + "/messages", body);
  }
};

TEST_F(DiscordSimulator, AnswersWithTheMessage) {
  const auto reply = post({{"content", "hello"}, {"nonce", "n1"}});
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.json().at("content"), "hello");
  EXPECT_EQ(reply.json().at("nonce"), "n1");
  EXPECT_EQ(reply.json().at("channel_id"), kChannel);
  EXPECT_EQ(reply.header("x-ratelimit-remaining"), "999999");
  const auto list = call("GET", "/api/v10/channels/" + std::string(kChannel) + "/messages?limit=1").json();
  ASSERT_EQ(list.size(), 1);
  EXPECT_EQ(list[0].at("id"), reply.json().at("id"));
}

TEST_F(DiscordSimulator, AsksForABotToken) {
  const auto path = "/api/v10/channels/" + std::string(kChannel) + "/messages";
  for (const char* token : {"", "Bot other", "Bearer simulated.bot.token"}) {
    const auto reply = call("POST", path, {{"content", "x"}}, token);
    EXPECT_EQ(reply.status, 401) << token;
    EXPECT_EQ(reply.json(), json({{"message", "401: Unauthorized"}, {"code", 0}})) << token;
  }
}

TEST_F(DiscordSimulator, EnforcesNoncesForSomeMinutes) {
  const json body{{"content", "a"}, {"nonce", "same"}, {"enforce_nonce", true}};
  const auto first = post(body).json().at("id");
  EXPECT_EQ(post(body).json().at("id"), first);
  EXPECT_NE(post(body, "1100000000000000002").json().at("id"), first);
  clock.advance(6min);
  EXPECT_NE(post(body).json().at("id"), first);
  const auto seen = call("GET", "/_sim/messages").json();
  EXPECT_EQ(seen.at("count"), 3);
  EXPECT_EQ(seen.at("duplicate_nonces"), 1);
}

TEST_F(DiscordSimulator, LetsNoncesPassThatAreNotEnforced) {
  const json body{{"content", "a"}, {"nonce", "same"}};
  EXPECT_NE(post(body).json().at("id"), post(body).json().at("id"));
}

TEST_F(DiscordSimulator, RefusesWhatDiscordRefuses) {
  struct Case {
    json body;
    std::string channel;
    int status;
    int code;
  };
  const std::string long_text(2001, 'x');
  const Case cases[] = {
      {{{"content", ""}}, kChannel, 400, 50006},
      {json::object(), kChannel, 400, 50006},
      {{{"content", long_text}}, kChannel, 400, 50035},
      {{{"content", "x"}}, "12", 404, 10003},
      {{{"content", "x"}}, "abc", 400, 50035},
      {{{"content", "x"}, {"nonce", std::string(26, 'n')}}, kChannel, 400, 50035},
  };
  for (const auto& [body, channel, status, code] : cases) {
    const auto reply = post(body, channel);
    EXPECT_EQ(reply.status, status) << body;
    EXPECT_EQ(reply.json().at("code"), code) << body;
  }
  EXPECT_EQ(post({{"content", long_text}}).json().at("errors").at("content").at("_errors").at(0).at("code"),
            "BASE_TYPE_MAX_LENGTH");
  EXPECT_EQ(http.send("POST", discord->base_url() + "/api/v10/channels/1/messages", {{"User-Agent", ""}}, "{}").status,
            403);
}

TEST_F(DiscordSimulator, CountsCharactersNotBytes) {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "ж";
  EXPECT_EQ(post({{"content", text}}).status, 200);
}

TEST_F(DiscordSimulator, LimitsTheRateOfAChannel) {
  settings.bucket_limit = 2;
  restart();
  EXPECT_EQ(post({{"content", "1"}}).header("x-ratelimit-remaining"), "1");
  EXPECT_EQ(post({{"content", "2"}}).header("x-ratelimit-remaining"), "0");
  clock.advance(1500ms);
  const auto refused = post({{"content", "3"}});
  EXPECT_EQ(refused.status, 429);
  EXPECT_DOUBLE_EQ(refused.json().at("retry_after"), 3.5);
  EXPECT_EQ(refused.json().at("global"), false);
  EXPECT_EQ(refused.header("retry-after"), "4");
  EXPECT_EQ(post({{"content", "other channel"}}, "1100000000000000002").status, 200);
  clock.advance(3500ms);
  EXPECT_EQ(post({{"content", "4"}}).status, 200);
}

TEST_F(DiscordSimulator, FailsToOrder) {
  EXPECT_EQ(call("POST", "/_sim/chaos", {{"status", 500}, {"count", 2}}).status, 204);
  EXPECT_EQ(post({{"content", "x"}}).status, 500);
  EXPECT_EQ(call("POST", "/_sim/chaos", {{"status", 429}, {"retry_after", 2.5}, {"after", true}}).status, 204);
  const auto lost = post({{"content", "made, but not told"}});
  EXPECT_EQ(lost.status, 429);
  EXPECT_EQ(lost.header("retry-after"), "3");
  EXPECT_EQ(post({{"content", "x"}}).status, 200);
  EXPECT_EQ(discord->messages().size(), 2);
  EXPECT_EQ(call("POST", "/_sim/chaos", {{"status", 200}}).status, 400);
  EXPECT_EQ(call("POST", "/_sim/chaos", {{"status", "x"}}).status, 400);
  EXPECT_EQ(call("GET", "/_sim/nothing").status, 404);
}

TEST_F(DiscordSimulator, ForgetsMessagesAndHidesCredentials) {
  post({{"content", "x"}, {"nonce", "1"}, {"enforce_nonce", true}});
  EXPECT_EQ(call("DELETE", "/_sim/messages").status, 204);
  EXPECT_EQ(call("GET", "/_sim/messages").json().at("count"), 0);
  EXPECT_EQ(post({{"content", "x"}, {"nonce", "1"}, {"enforce_nonce", true}}).status, 200);
  const auto requests = call("GET", "/_sim/requests").json();
  ASSERT_EQ(requests.size(), 2);
  EXPECT_EQ(requests.dump().find("simulated.bot.token"), std::string::npos);
}

}  // namespace
}  // namespace patchbay::plugins_test
