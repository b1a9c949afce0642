#include "engine/replay.hpp"

#include "engine_rig.hpp"

namespace patchbay::engine {
namespace {

using ::testing::HasSubstr;

class ReplayTest : public EngineRig {
 protected:
  // Two messages, one after the other.
  static std::string two() {
    auto definition = demo();
    definition.insert(definition.rfind(']'),
                      R"(,{"id":"second","reaction":"discord.send_channel_message","connection":"team","after":["tell"],
                          "params":{"channel_id":"1100000000000000001","content":"after {{ tell.id }}"}})");
    return definition;
  }
  Result<RunId> replay(RunId run, const std::string& from = {}, bool current = false) {
    auto made = insert_replay(*database_, {.user = user_, .run = run, .from = from, .current = current}, clock_.now());
    engine_->look_for_runs();
    return made;
  }
  std::vector<std::string> sent() const {
    std::vector<std::string> bodies;
    for (const auto& request : client_->requests) {
      if (request.provider == "discord") bodies.push_back(request.body);
    }
    return bodies;
  }
  std::int64_t letters() {
    std::int64_t count = -1;
    (void)database_->read([&](store::Transaction& transaction) -> Result<> {
      (void)transaction.execute("SELECT COUNT(*) FROM dead_letters", {}, [&](const store::Row& row) { count = row.integer(0); });
      return {};
    });
    return count;
  }
};

TEST_F(ReplayTest, ARunIsMadeAgainFromItsEvent) {
  activate(demo());
  deliver(issue("again"), "d1");
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  const auto first = runs()[0].id;
  const auto made = replay(first);
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_TRUE(wait_for_runs(2, "completed"));
  const auto run = find_run(*database_, user_, *made);
  EXPECT_EQ(run->replay_of, first);
  EXPECT_EQ(run->event_key, "d1");
  EXPECT_FALSE(find_run(*database_, user_, first)->replay_of);
  ASSERT_EQ(sent().size(), 2U);
  EXPECT_THAT(sent()[1], HasSubstr("mona: again"));
  EXPECT_NE(sent()[0], sent()[1]) << "another run has another key: the message is wanted once more";
}

TEST_F(ReplayTest, IsComparedNodeByNode) {
  discord_answers_ = {egress::HttpReply{200, {}, R"({"id":"41"})"}, egress::HttpReply{200, {}, R"({"id":"42"})"},
                      egress::HttpReply{200, {}, R"({"id":"41"})"}, egress::HttpReply{400, {}, R"({"message":"no"})"}};
  activate(two());
  deliver(issue("x"), "d1");
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  const auto first = runs()[0].id;
  const auto made = replay(first);
  ASSERT_TRUE(wait_for_runs(1, "failed"));
  const auto comparison = compare_replay(*database_, user_, *made);
  ASSERT_TRUE(comparison) << comparison.error().message;
  EXPECT_EQ(comparison->original, first);
  EXPECT_FALSE(comparison->is_same());
  ASSERT_EQ(comparison->nodes.size(), 4U);
  for (const auto& node : comparison->nodes) EXPECT_EQ(node.same, node.node != "second") << node.node;
  EXPECT_EQ(comparison->nodes[3].before.status, "completed");
  EXPECT_EQ(comparison->nodes[3].after.status, "failed");
  EXPECT_EQ(compare_replay(*database_, user_, first).error().code, Errc::conflict);
}

TEST_F(ReplayTest, FromANodeWhatStandsBeforeItKeepsItsResults) {
  discord_answers_ = {egress::HttpReply{200, {}, R"({"id":"41"})"}, egress::HttpReply{400, {}, R"({"message":"no"})"}};
  activate(two());
  deliver(issue("x"), "d1");
  ASSERT_TRUE(wait_for_runs(1, "failed"));
  EXPECT_EQ(letters(), 1);
  const auto made = replay(runs()[0].id, "second");
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  ASSERT_EQ(sent().size(), 3U) << "the first message is not sent again";
  EXPECT_THAT(sent()[2], HasSubstr("after 41"));
  const auto run = find_run(*database_, user_, *made);
  EXPECT_EQ(run->replay_from, "second");
  EXPECT_EQ(run->steps[2].status, "completed");
  EXPECT_THAT(run->steps[2].output, HasSubstr("41"));
  EXPECT_EQ(letters(), 0) << "somebody has taken care of it";
}

TEST_F(ReplayTest, WithTheFlowsPresentVersion) {
  const auto flow = activate(demo());
  deliver(issue("x"), "d1");
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  auto changed = demo();
  changed.replace(changed.find("{{ opened.issue.title }}"), 24, "changed");
  ASSERT_TRUE(blocking([&] { return engine_->flows().update(user_, flow, changed, std::nullopt); }).has_value());
  const auto first = runs()[0].id;
  ASSERT_TRUE(replay(first, "", true));
  ASSERT_TRUE(wait_for_runs(2, "completed"));
  EXPECT_THAT(sent()[1], HasSubstr("mona: changed"));
  clock_.advance(std::chrono::seconds{1});
  ASSERT_TRUE(replay(first));
  ASSERT_TRUE(wait_for_runs(3, "completed"));
  EXPECT_THAT(sent()[2], HasSubstr("mona: x")) << "otherwise with its own";
}

TEST_F(ReplayTest, WhatCannotBeMadeAgainIsSaid) {
  activate(demo());
  client_->silent = true;
  deliver(issue("x"), "d1");
  ASSERT_TRUE(wait_for_runs(1, "pending") || wait_for_runs(1, "running"));
  const auto open = runs()[0].id;
  EXPECT_EQ(replay(open).error().code, Errc::conflict);
  crash();
  boot();
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  EXPECT_EQ(replay(open, "nowhere").error().code, Errc::invalid);
  EXPECT_THAT(replay(open, "nowhere").error().message, HasSubstr("nowhere"));
  EXPECT_EQ(insert_replay(*database_, {.user = UserId::make(clock_.now()), .run = open}, clock_.now()).error().code, Errc::not_found);
  EXPECT_EQ(replay(RunId::make(clock_.now())).error().code, Errc::not_found);
  EXPECT_EQ(runs().size(), 1U) << "nothing of it is left";
}

}  // namespace
}  // namespace patchbay::engine
