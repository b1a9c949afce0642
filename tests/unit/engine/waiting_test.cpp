// Runs that wait, are parked, are cancelled, or have to go one after another.
#include <nlohmann/json.hpp>

#include "engine/run_actions.hpp"
#include "engine_rig.hpp"

namespace patchbay::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using std::chrono::seconds;

constexpr auto kLate = R"(,"retry":{"attempts":5,"first_ms":60000,"longest_ms":60000})";

class Waiting : public EngineRig {
 protected:
  std::vector<std::string> contents() const {
    std::vector<std::string> texts;
    for (const auto& request : client_->requests) {
      if (request.provider == "discord") texts.push_back(nlohmann::json::parse(request.body).at("content"));
    }
    return texts;
  }
  std::string nonce(std::size_t index) const {
    std::vector<std::string> all;
    for (const auto& request : client_->requests) {
      if (request.provider == "discord") all.push_back(nlohmann::json::parse(request.body).at("nonce").dump());
    }
    return all.at(index);
  }
  std::int64_t count_completed() {
    std::int64_t count = 0;
    (void)database_->read([&](store::Transaction& transaction) -> Result<> {
      (void)transaction.execute("SELECT COUNT(*) FROM runs WHERE status = 'completed'", {}, [&](const store::Row& row) { count = row.integer(0); });
      return {};
    });
    return count;
  }
  bool wait_for_messages(std::size_t count) {
    return loop_->run_until([&] { return messages() >= count; }, seconds{10});
  }
  // The loop turns for a while: what is not to happen has time to.
  void let_pass(std::chrono::milliseconds time = std::chrono::milliseconds{150}) {
    loop_->run_until([] { return false; }, time);
  }
  bool wait_until_at_rest() {
    return loop_->run_until([&] { return engine_->runs_in_memory() == 0; }, seconds{10});
  }
  // A run whose first attempt failed; its next one is due in a minute.
  void fail_and_rest() {
    discord_answers_ = {egress::HttpReply{503, {}, "{}"}};
    activate(demo(kLate));
    deliver(issue("x"), "d1");
    ASSERT_TRUE(wait_for_messages(1));
    ASSERT_TRUE(wait_until_at_rest());
  }
  static std::string with(std::string definition, const std::string& members) {
    definition.insert(1, members + ",");
    return definition;
  }
  static std::string numbered(int number, const std::string& title) {
    auto body = issue(title);
    body.replace(body.find("\"number\":1"), 10, "\"number\":" + std::to_string(number));
    return body;
  }
  // One whose host dies while the provider is being asked.
  RunId interrupt(const std::string& definition) {
    activate(definition);
    client_->silent = true;
    EXPECT_EQ(deliver(issue("x"), "d1"), 204);
    EXPECT_TRUE(wait_for_messages(1));
    let_pass(std::chrono::milliseconds{30});
    const auto id = runs().at(0).id;
    asked_ = nonce(0);
    crash();
    boot();
    return id;
  }

  std::string asked_;
  bool held_ = true;
};

TEST_F(Waiting, ARunThatWaitsLongIsInTheStoreOnly) {
  fail_and_rest();
  EXPECT_EQ(runs().at(0).status, "running");
  const auto step = find_run(*database_, user_, runs().at(0).id)->steps.back();
  EXPECT_EQ(step.status, "running");
  EXPECT_TRUE(step.next.has_value());
  let_pass();
  EXPECT_EQ(messages(), 1U) << "not before it is due";
  clock_.advance(seconds{61});
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  EXPECT_EQ(messages(), 2U);
  EXPECT_EQ(nonce(0), nonce(1));
  EXPECT_EQ(find_run(*database_, user_, runs().at(0).id)->steps.back().attempt, 2);
}

TEST_F(Waiting, ItKeepsItsTimeOverARestart) {
  fail_and_rest();
  crash();
  boot();
  let_pass();
  EXPECT_EQ(messages(), 0U);
  clock_.advance(seconds{61});
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  EXPECT_EQ(messages(), 1U);
}

// Product.md, section 2: the effect was made, and its result is not stored.
TEST_F(Waiting, crash_between_effect_and_status) {
  const auto id = interrupt(demo());
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  ASSERT_EQ(messages(), 1U) << "asked again";
  EXPECT_EQ(nonce(0), asked_) << "under the same key: the provider makes it once";
  EXPECT_EQ(find_run(*database_, user_, id)->steps.back().attempt, 2);
}

TEST_F(Waiting, AllThatACrashInterruptedGoesOn) {
  activate(demo());
  client_->silent_to = [](const auto& request) { return request.provider == "discord"; };
  for (int i = 0; i < 120; ++i) ASSERT_EQ(deliver(issue("x"), "d" + std::to_string(i)), 204);
  ASSERT_TRUE(wait_for_messages(120));
  crash();
  boot();
  ASSERT_TRUE(loop_->run_until([&] { return count_completed() == 120; }, seconds{20})) << "no budget of retries holds them up";
}

class Parked : public Waiting, public ::testing::WithParamInterface<Decision> {};

TEST_P(Parked, APersonDecidesWhatNobodyKnows) {
  const auto id = interrupt(demo(R"(,"on_unknown":"park")"));
  ASSERT_TRUE(wait_for_runs(1, "paused"));
  let_pass();
  EXPECT_EQ(messages(), 0U) << "not asked again by itself";
  EXPECT_EQ(engine_->runs_in_memory(), 0U);
  EXPECT_EQ(find_run(*database_, user_, id)->steps.back().status, "maybe");
  const auto letters = list_dead_letters(*database_, user_, 10, "");
  ASSERT_TRUE(letters);
  ASSERT_EQ(letters->size(), 1U);
  EXPECT_EQ(letters->front().kind, "maybe");
  EXPECT_EQ(letters->front().node, "tell");
  EXPECT_EQ(dismiss_dead_letter(*database_, user_, letters->front().id).error().code, Errc::conflict);
  EXPECT_EQ(decide_step(*database_, user_, id, "nothing", GetParam(), clock_.now()).error().code, Errc::conflict);
  EXPECT_EQ(decide_step(*database_, UserId::make(clock_.now()), id, "tell", GetParam(), clock_.now()).error().code, Errc::not_found);

  ASSERT_TRUE(decide_step(*database_, user_, id, "tell", GetParam(), clock_.now()));
  engine_->look_for_runs();
  ASSERT_TRUE(wait_for_runs(1, GetParam() == Decision::fail ? "failed" : "completed"));
  EXPECT_EQ(messages(), GetParam() == Decision::repeat ? 1U : 0U);
  if (GetParam() == Decision::repeat) {
    EXPECT_EQ(nonce(0), asked_);
  }
  EXPECT_TRUE(list_dead_letters(*database_, user_, 10, "")->empty());
}

std::string name_of_decision(const ::testing::TestParamInfo<Decision>& info) {
  return info.param == Decision::done ? "done" : info.param == Decision::repeat ? "repeat" : "fail";
}
INSTANTIATE_TEST_SUITE_P(Engine, Parked, ::testing::Values(Decision::done, Decision::repeat, Decision::fail), name_of_decision);

TEST_F(Waiting, WhatWasNotBegunIsNotParked) {
  discord_answers_ = {egress::HttpReply{429, {{"retry-after", "60"}}, R"({"retry_after":60})"}};
  activate(demo(R"(,"on_unknown":"park")"));
  deliver(issue("x"), "d1");
  ASSERT_TRUE(wait_for_messages(1));
  ASSERT_TRUE(wait_until_at_rest());
  crash();
  boot();
  clock_.advance(seconds{90});
  ASSERT_TRUE(wait_for_runs(1, "completed")) << "between two attempts everything is known";
}

TEST_F(Waiting, EachParkedStepIsListedAndDecidedByItself) {
  auto definition = demo(R"(,"on_unknown":"park")");
  definition.insert(definition.rfind(']'), R"(,{"id":"also","reaction":"discord.send_channel_message","connection":"team","after":["opened"],
    "on_unknown":"park","params":{"channel_id":"1100000000000000001","content":"also"}})");
  discord_answers_ = {egress::HttpReply{502, {}, "{}"}, egress::HttpReply{502, {}, "{}"}};
  activate(definition);
  deliver(issue("x"), "d1");
  ASSERT_TRUE(wait_for_runs(1, "paused"));
  const auto id = runs().at(0).id;
  EXPECT_EQ(list_dead_letters(*database_, user_, 10, "")->size(), 2U);
  ASSERT_TRUE(decide_step(*database_, user_, id, "tell", Decision::done, clock_.now()));
  EXPECT_EQ(runs().at(0).status, "paused") << "the other one still waits";
  ASSERT_TRUE(decide_step(*database_, user_, id, "also", Decision::done, clock_.now()));
  engine_->look_for_runs();
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  EXPECT_EQ(messages(), 2U);
}

TEST_F(Waiting, WhoWaitsForAPersonLetsTheNextOneOfTheLaneGo) {
  discord_answers_ = {egress::HttpReply{502, {}, "{}"}};
  activate(with(demo(R"(,"on_unknown":"park")"), R"("order":"strict")"));
  deliver(issue("a"), "a");
  deliver(issue("b"), "b");
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  EXPECT_EQ(runs({"paused"}).size(), 1U);
}

TEST_F(Waiting, WhatGotNoAnswerIsParkedToo) {
  discord_answers_ = {egress::HttpReply{502, {}, "{}"}};
  activate(demo(R"(,"on_unknown":"park")"));
  deliver(issue("x"), "d1");
  ASSERT_TRUE(wait_for_runs(1, "paused"));
  discord_answers_ = {egress::HttpReply{400, {}, "{}"}};
  deliver(issue("y"), "d2");
  ASSERT_TRUE(wait_for_runs(1, "failed")) << "a refusal is an answer";
}

TEST_F(Waiting, ToBeToldToWaitIsNoAttempt) {
  for (int i = 0; i < 8; ++i) discord_answers_.push_back(egress::HttpReply{429, {{"retry-after", "1"}}, R"({"retry_after":0.001})"});
  activate(demo(R"(,"retry":{"attempts":2,"first_ms":1,"longest_ms":1})"));
  deliver(issue("x"), "d1");
  const auto advancing = [&] {
    clock_.advance(std::chrono::milliseconds{200});
    return runs({"completed"}).size() == 1;
  };
  ASSERT_TRUE(loop_->run_until(advancing, seconds{20}));
  EXPECT_EQ(messages(), 9U);
  EXPECT_EQ(find_run(*database_, user_, runs().at(0).id)->steps.back().attempt, 1);
}

TEST_F(Waiting, ACancelledRunDoesNotGoOn) {
  fail_and_rest();
  const auto id = runs().at(0).id;
  ASSERT_TRUE(cancel_run(*database_, user_, id, clock_.now()));
  EXPECT_EQ(cancel_run(*database_, user_, id, clock_.now()).error().code, Errc::conflict);
  engine_->cancel_run(id);
  clock_.advance(seconds{61});
  let_pass();
  EXPECT_EQ(messages(), 1U);
  EXPECT_EQ(runs().at(0).status, "cancelled");
}

TEST_F(Waiting, OneThatIsCancelledUnderWayStaysCancelled) {
  activate(demo());
  client_->silent_to = [](const auto& request) { return request.provider == "discord"; };
  deliver(issue("x"), "d1");
  ASSERT_TRUE(wait_for_messages(1));
  const auto id = runs().at(0).id;
  ASSERT_TRUE(cancel_run(*database_, user_, id, clock_.now()));
  engine_->cancel_run(id);
  EXPECT_EQ(engine_->runs_in_memory(), 0U);
  let_pass();
  EXPECT_EQ(runs().at(0).status, "cancelled");
}

// As on another host, which hears of it with its next write only.
TEST_F(Waiting, AResultThatComesAfterTheCancellationChangesNothing) {
  discord_answers_ = {egress::HttpReply{500, {}, "{}"}};
  activate(demo(R"(,"retry":{"attempts":5,"first_ms":400,"longest_ms":400})"));
  deliver(issue("x"), "d1");
  ASSERT_TRUE(wait_for_messages(1));
  ASSERT_TRUE(loop_->run_until([&] { return find_run(*database_, user_, runs().at(0).id)->steps.back().next.has_value(); }, seconds{5}));
  ASSERT_TRUE(cancel_run(*database_, user_, runs().at(0).id, clock_.now()));
  clock_.advance(seconds{1});
  ASSERT_TRUE(loop_->run_until([&] { return engine_->runs_in_memory() == 0; }, seconds{5}));
  EXPECT_EQ(runs().at(0).status, "cancelled");
}

TEST_F(Waiting, InStrictOrderEachWaitsForTheOneBefore) {
  discord_answers_ = {egress::HttpReply{500, {}, "{}"}};
  activate(with(demo(R"(,"retry":{"attempts":3,"first_ms":40,"longest_ms":40})"), R"("order":"strict")"));
  for (const auto* title : {"a", "b", "c"}) deliver(issue(title), title);
  clock_.advance(seconds{1});
  ASSERT_TRUE(wait_for_runs(3, "completed"));
  EXPECT_THAT(contents(), ElementsAre("mona: a", "mona: a", "mona: b", "mona: c"));
}

TEST_F(Waiting, InStrictOrderAFailureLetsTheNextOneGo) {
  discord_answers_ = {egress::HttpReply{400, {}, "{}"}};
  activate(with(demo(), R"("order":"strict")"));
  for (const auto* title : {"a", "b"}) deliver(issue(title), title);
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  EXPECT_EQ(runs({"failed"}).size(), 1U);
}

TEST_F(Waiting, ByKeyOnlyThoseOfOneKeyWait) {
  discord_answers_ = {egress::HttpReply{503, {}, "{}"}};
  activate(with(demo(kLate), R"("order":"per_key","key":"{{ opened.issue.number }}")"));
  deliver(numbered(1, "a1"), "a1");
  ASSERT_TRUE(wait_for_messages(1));
  deliver(numbered(1, "b1"), "b1");
  deliver(numbered(2, "a2"), "a2");
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  let_pass();
  EXPECT_THAT(contents(), ElementsAre("mona: a1", "mona: a2"));
  clock_.advance(seconds{61});
  ASSERT_TRUE(wait_for_runs(3, "completed"));
  EXPECT_THAT(contents(), ElementsAre("mona: a1", "mona: a2", "mona: a1", "mona: b1"));
}

TEST_F(Waiting, NoMoreThanTheFlowsConcurrencyAreUnderWay) {
  discord_answers_ = {egress::HttpReply{503, {}, "{}"}, egress::HttpReply{503, {}, "{}"}};
  activate(with(demo(kLate), R"("concurrency":2)"));
  for (const auto* title : {"a", "b", "c", "d"}) deliver(issue(title), title);
  ASSERT_TRUE(wait_for_messages(2));
  let_pass();
  EXPECT_EQ(messages(), 2U);
  clock_.advance(seconds{61});
  ASSERT_TRUE(wait_for_runs(4, "completed"));
  EXPECT_EQ(messages(), 6U);
}

TEST_F(Waiting, ALaneGoesOnAfterACrash) {
  const auto first = interrupt(with(demo(), R"("order":"strict")"));
  client_->silent = true;
  deliver(issue("second"), "d2");
  ASSERT_TRUE(wait_for_messages(1));
  let_pass();
  EXPECT_EQ(messages(), 1U) << "the first one has not ended";
  ASSERT_TRUE(cancel_run(*database_, user_, first, clock_.now()));
  engine_->cancel_run(first);
  ASSERT_TRUE(wait_for_messages(2));
  EXPECT_EQ(contents().back(), "mona: second");
}

TEST_F(Waiting, AFlowThatHangsLeavesPlacesToOthers) {
  crash();
  runner_settings_.concurrent_reactions = 20;
  boot();
  activate(demo());
  client_->silent_to = [](const auto& request) { return request.body.find("hangs") != std::string::npos; };
  for (int i = 0; i < 40; ++i) deliver(issue("hangs"), "h" + std::to_string(i));
  let_pass();
  EXPECT_LT(messages(), 20U);
  EXPECT_GT(messages(), 10U);
  activate(demo());
  deliver(issue("quick"), "q");
  ASSERT_TRUE(wait_for_runs(1, "completed"));
}

TEST_F(Waiting, WhatTheHostHasNoRoomForWaitsInTheStore) {
  crash();
  runner_settings_.runs = 3;
  boot();
  activate(demo());
  client_->silent_to = [this](const auto& request) { return request.provider == "discord" && held_; };
  for (int i = 0; i < 10; ++i) EXPECT_EQ(deliver(issue("x"), "d" + std::to_string(i)), 204);
  let_pass();
  EXPECT_EQ(engine_->runs_in_memory(), 3U);
  crash();
  held_ = false;
  boot();
  ASSERT_TRUE(wait_for_runs(10, "completed"));
}

TEST_F(Waiting, OfOneFlowNoMoreAreInMemoryThanLeaveRoomForOthers) {
  intake_settings_.runs_of_flow = 2;
  crash();
  boot();
  activate(demo());
  client_->silent_to = [this](const auto& request) { return request.provider == "discord" && held_; };
  for (int i = 0; i < 8; ++i) deliver(issue("x"), "d" + std::to_string(i));
  let_pass();
  EXPECT_EQ(engine_->runs_in_memory(), 2U);
  crash();
  held_ = false;
  boot();
  ASSERT_TRUE(wait_for_runs(8, "completed"));
}

}  // namespace
}  // namespace patchbay::engine
