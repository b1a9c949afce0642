#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "discord/simulator/discord_simulator.hpp"
#include "discord/src/nonce.hpp"
#include "plugins/rig.hpp"

namespace patchbay::plugins_test {
namespace {

using nlohmann::json;
using plugin::Verb;
using simulators::DiscordSettings;
using simulators::DiscordSimulator;

constexpr const char* kChannel = "1100000000000000001";

std::string params(const std::string& content, const std::string& channel = kChannel) {
  return json{{"channel_id", channel}, {"content", content}}.dump();
}

struct Discord : testing::Test {
  DiscordSimulator discord{{.common = {.record_file = record_file()}}};
  Rig rig{{.plugin = "discord", .base_url = discord.base_url(), .credentials = "Bot simulated.bot.token"}};

  plugin::Outcome send(const std::string& parameters, const std::string& key = "run:step", int attempt = 1) {
    auto call = rig.call(Verb::reaction, "send_channel_message", parameters);
    call.key = key;
    call.attempt = attempt;
    return rig.run(std::move(call));
  }
};

TEST_F(Discord, SendsAMessage) {
  const auto sent = send(params("\"Hi\" from \\ здесь\n🎛"));
  ASSERT_FALSE(sent.error) << sent.error->message;
  ASSERT_EQ(discord.messages().size(), 1);
  const auto message = discord.messages()[0];
  EXPECT_EQ(message.content, "\"Hi\" from \\ здесь\n🎛");
  EXPECT_EQ(message.channel_id, kChannel);
  const auto output = json::parse(sent.output);
  EXPECT_EQ(output.at("id"), std::to_string(message.id));
  EXPECT_EQ(output.at("content"), message.content);
}

TEST_F(Discord, MentionsNobodyAndNamesItself) {
  ASSERT_FALSE(send(params("@everyone")).error);
  const auto request = discord.requests().at(0);
  EXPECT_EQ(request.at("body").at("allowed_mentions"), json({{"parse", json::array()}}));
  EXPECT_EQ(request.at("body").at("enforce_nonce"), true);
  EXPECT_FALSE(request.at("body").contains("tts"));
  EXPECT_EQ(request.at("path"), "/api/v10/channels/" + std::string(kChannel) + "/messages");
  EXPECT_EQ(request.at("headers").at("content-type"), "application/json");
}

TEST_F(Discord, ReadsAloudWhenAsked) {
  ASSERT_FALSE(send(json{{"channel_id", kChannel}, {"content", "x"}, {"tts", true}}.dump()).error);
  EXPECT_TRUE(discord.messages()[0].tts);
}

TEST_F(Discord, RepeatedAttemptMakesNoSecondMessage) {
  discord.fail_next({.status = 502, .after = true});  // made, but the answer is lost
  const auto lost = send(params("once"));
  ASSERT_TRUE(lost.error);
  EXPECT_TRUE(may_pass(lost.error->code));
  const auto again = send(params("once"), "run:step", 2);
  ASSERT_FALSE(again.error) << again.error->message;
  ASSERT_EQ(discord.messages().size(), 1);
  EXPECT_EQ(discord.messages()[0].repeats, 1);
  EXPECT_EQ(json::parse(again.output).at("id"), std::to_string(discord.messages()[0].id));
}

TEST_F(Discord, OtherStepsMakeOtherMessages) {
  ASSERT_FALSE(send(params("same text"), "run-1:step").error);
  ASSERT_FALSE(send(params("same text"), "run-2:step").error);
  EXPECT_EQ(discord.messages().size(), 2);
}

TEST_F(Discord, WaitsAsLongAsDiscordSays) {
  discord.fail_next({.status = 429, .retry_after_s = 1.337});
  const auto refused = send(params("x"));
  ASSERT_TRUE(refused.error);
  EXPECT_TRUE(may_pass(refused.error->code));
  ASSERT_TRUE(refused.next);
  EXPECT_EQ(*refused.next, std::chrono::milliseconds(1338));
}

TEST_F(Discord, TellsWhatIsWrong) {
  EXPECT_EQ(send(params("x", "5")).error->message, "HTTP 404: Unknown Channel");
  const auto too_long =
      rig.run_unchecked(rig.call(Verb::reaction, "send_channel_message", params(std::string(2001, 'x'))));
  EXPECT_EQ(too_long.error->message, "HTTP 400: content: Must be 2000 or fewer in length.");
  EXPECT_FALSE(may_pass(too_long.error->code));
  discord.fail_next({.status = 403});
  EXPECT_EQ(send(params("x")).error->code, Errc::denied);
}

TEST_F(Discord, RefusesAChannelThatIsNoNumber) {
  auto call = rig.call(Verb::reaction, "send_channel_message", params("x", "1/../../users/@me"));
  const auto outcome = rig.run_unchecked(std::move(call));
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, Errc::invalid);
  EXPECT_EQ(discord.request_count(), 0);
}

// Vectors of draft-eastlake-fnv, appendix C: 32 digits, of which a nonce takes 25.
TEST(DiscordNonce, IsTheFnvHashOfTheKey) {
  EXPECT_EQ(discord::nonce_of(""), "6c62272e07bb014262b821756");
  EXPECT_EQ(discord::nonce_of("a"), "d228cb696f1a8caf78912b704");
  EXPECT_EQ(discord::nonce_of("foobar"), "343e1662793c64bf6f0d3597b");
}

TEST(DiscordNonce, DiffersForKeysThatAreAlike) {
  std::set<std::string> nonces;
  for (int i = 0; i < 10'000; ++i) nonces.insert(discord::nonce_of("0190-" + std::to_string(i) + ":tell"));
  EXPECT_EQ(nonces.size(), 10'000);
}

}  // namespace
}  // namespace patchbay::plugins_test
