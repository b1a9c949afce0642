#include "engine_rig.hpp"

namespace patchbay::engine {
namespace {

using ::testing::HasSubstr;
using EngineTest = EngineRig;

egress::HttpReply reply(int status, std::string body = "{}", egress::Headers headers = {}) {
  return {status, std::move(headers), std::move(body)};
}

TEST_F(EngineTest, AnEventBecomesAMessage) {
  activate(demo());
  EXPECT_EQ(deliver(issue("it burns"), "d1"), 204);
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  ASSERT_EQ(messages(), 1U);
  EXPECT_THAT(client_->requests.back().body, HasSubstr("mona: it burns"));
  const auto run = find_run(*database_, user_, runs()[0].id);
  ASSERT_TRUE(run.has_value());
  ASSERT_EQ(run->steps.size(), 3U);
  EXPECT_EQ(run->steps[0].kind, "trigger");
  EXPECT_THAT(run->steps[0].output, HasSubstr("it burns"));
  EXPECT_EQ(run->steps[1].port, "true");
  EXPECT_EQ(run->steps[2].status, "completed");
  EXPECT_THAT(run->steps[2].input, HasSubstr("mona: it burns"));
  EXPECT_EQ(run->event_key, "d1");
}

TEST_F(EngineTest, AConditionThatIsFalseSkipsWhatFollows) {
  activate(demo());
  EXPECT_EQ(deliver(issue("calm", "later"), "d1"), 204);
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  EXPECT_EQ(messages(), 0U);
  const auto run = find_run(*database_, user_, runs()[0].id);
  EXPECT_EQ(run->steps[1].port, "false");
  EXPECT_EQ(run->steps[2].status, "skipped");
  EXPECT_THAT(why(*database_, user_, "d1")->conclusion, HasSubstr("condition 'urgent' was false"));
}

TEST_F(EngineTest, replayed_webhook_runs_once) {
  activate(demo());
  EXPECT_EQ(deliver(issue("one"), "same"), 204);
  EXPECT_EQ(deliver(issue("one"), "same"), 204);
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  EXPECT_EQ(runs().size(), 1U);
  EXPECT_EQ(messages(), 1U);
}

TEST_F(EngineTest, forged_webhook_is_refused) {
  activate(demo());
  EXPECT_EQ(deliver(issue("x"), "d1", "issues", true), 401);
  EXPECT_EQ(runs().size(), 0U);
  journal::DeliveryFilter filter;
  filter.user = user_;
  EXPECT_TRUE(journal::list_deliveries(*database_, filter)->empty());
}

TEST_F(EngineTest, WhatTheTriggerDoesNotWantStartsNothing) {
  activate(demo());
  EXPECT_EQ(deliver(R"({"zen":"x","hook_id":77})", "p1", "ping"), 204);
  EXPECT_EQ(deliver(issue("x", "urgent", "closed"), "d1"), 204);
  EXPECT_EQ(runs().size(), 0U);
}

TEST_F(EngineTest, stop_really_stops) {
  const auto flow = activate(demo());
  const auto off = blocking([&] { return engine_->flows().deactivate(user_, flow); });
  ASSERT_TRUE(off.has_value());
  EXPECT_EQ(off->state, "inactive");
  EXPECT_EQ(client_->requests.back().method, "DELETE");
  EXPECT_THAT(client_->requests.back().url, HasSubstr("/hooks/77"));
  EXPECT_EQ(deliver(issue("late"), "d9"), 404);
  EXPECT_EQ(runs().size(), 0U);
}

TEST_F(EngineTest, AStopThatFailsIsRepeatedAfterARestart) {
  const auto flow = activate(demo());
  auto answers = client_->answer;
  client_->answer = [](const auto&) { return reply(500); };
  ASSERT_TRUE(blocking([&] { return engine_->flows().deactivate(user_, flow); }).has_value());
  EXPECT_EQ(deliver(issue("late"), "d9"), 404);
  crash();
  boot();
  EXPECT_TRUE(
      loop_->run_until([&] { return !client_->requests.empty() && client_->requests.back().method == "DELETE"; },
                       std::chrono::seconds{10}));
}

TEST_F(EngineTest, AFlowIsNotActiveWhenItsProviderRefuses) {
  client_->answer = [](const auto&) { return reply(403, R"({"message":"Must have admin rights"})"); };
  auto created = engine_->flows().create(user_, demo());
  const auto refused = blocking([&] { return engine_->flows().activate(user_, created->id); });
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().error.message,
              ::testing::AllOf(HasSubstr("opened"), HasSubstr("Must have admin rights")));
  EXPECT_EQ(engine_->flows().find(user_, created->id)->state, "draft");
  EXPECT_EQ(engine_->watches(), 0U);
}

TEST_F(EngineTest, AFlowWithoutItsConnectionIsRefused) {
  auto definition = demo();
  definition.replace(definition.find("\"octo\""), 6, "\"nobody\"");
  auto created = engine_->flows().create(user_, definition);
  const auto refused = blocking([&] { return engine_->flows().activate(user_, created->id); });
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().error.message, HasSubstr("nobody"));
}

TEST_F(EngineTest, WhatMayPassIsTriedAgainWithTheSameKey) {
  discord_answers_ = {reply(500), reply(429, "{}", {{"retry-after", "1"}}), reply(200, R"({"id":"1"})")};
  activate(demo(R"(,"retry":{"attempts":5,"first_ms":1,"longest_ms":2})"));
  deliver(issue("x"), "d1");
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  EXPECT_EQ(messages(), 3U);
  std::set<std::string> bodies;
  for (const auto& request : client_->requests) {
    if (request.provider == "discord") bodies.insert(request.body);
  }
  EXPECT_EQ(bodies.size(), 1U) << "the nonce is the same at every attempt";
  EXPECT_EQ(find_run(*database_, user_, runs()[0].id)->steps[2].attempt, 2) << "to be told to wait is no attempt";
}

TEST_F(EngineTest, failing_reaction_is_visible) {
  discord_answers_ = {reply(400, R"({"message":"Invalid Form Body","code":50035})")};
  activate(demo());
  deliver(issue("x"), "d1");
  ASSERT_TRUE(wait_for_runs(1, "failed"));
  EXPECT_EQ(messages(), 1U) << "what will not pass is not tried again";
  EXPECT_THAT(runs()[0].error, HasSubstr("Invalid Form Body"));
  int letters = 0;
  ASSERT_TRUE(database_
                  ->read([&](store::Transaction& transaction) -> Result<> {
                    (void)transaction.execute("SELECT COUNT(*) FROM dead_letters", {}, [&](const store::Row& row) {
                      letters = static_cast<int>(row.integer(0));
                    });
                    return {};
                  })
                  .has_value());
  EXPECT_EQ(letters, 1);
  EXPECT_THAT(why(*database_, user_, "d1")->conclusion, HasSubstr("Invalid Form Body"));
}

TEST_F(EngineTest, AfterTheLastAttemptItIsADeadLetter) {
  discord_answers_ = {reply(500), reply(500)};
  activate(demo(R"(,"retry":{"attempts":2,"first_ms":1,"longest_ms":1})"));
  deliver(issue("x"), "d1");
  ASSERT_TRUE(wait_for_runs(1, "failed"));
  EXPECT_EQ(messages(), 2U);
}

TEST_F(EngineTest, ARunGoesOnAfterACrash) {
  activate(demo());
  client_->silent = true;  // the reaction is under way when the process dies
  EXPECT_EQ(deliver(issue("survivor"), "d1"), 204);
  EXPECT_TRUE(loop_->run_until([&] { return messages() == 1; }, std::chrono::seconds{5}));
  const auto first = client_->requests.back().body;
  crash();
  boot();
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  EXPECT_EQ(runs().size(), 1U);
  ASSERT_EQ(messages(), 1U);
  EXPECT_EQ(client_->requests.back().body, first) << "the same nonce, the same text";
  EXPECT_GE(find_run(*database_, user_, runs()[0].id)->steps[2].attempt, 2);
}

TEST_F(EngineTest, AStoredResultIsNotMadeAgain) {
  auto definition = demo();
  definition.insert(definition.rfind(']'),
                    R"(,{"id":"second","reaction":"discord.send_channel_message","connection":"team","after":["tell"],
                        "params":{"channel_id":"1100000000000000001","content":"after {{ tell.id }}"}})");
  activate(definition);
  deliver(issue("x"), "d1");
  // The first message is answered; the second is never.
  ASSERT_TRUE(loop_->run_until(
      [&] {
        if (messages() == 1) client_->silent = true;
        return messages() == 2;
      },
      std::chrono::seconds{10}));
  EXPECT_THAT(client_->requests.back().body, HasSubstr("after 1"));
  crash();
  boot();
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  ASSERT_EQ(messages(), 1U);
  EXPECT_THAT(client_->requests.back().body, HasSubstr("after 1"));
}

TEST_F(EngineTest, RunsThatDoNotFitIntoMemoryWaitInTheStore) {
  crash();
  runner_settings_.runs = 2;
  boot();
  activate(demo());
  for (int i = 0; i < 9; ++i) EXPECT_EQ(deliver(issue("n" + std::to_string(i)), "d" + std::to_string(i)), 204);
  ASSERT_TRUE(wait_for_runs(9, "completed"));
  EXPECT_EQ(messages(), 9U);
}

TEST_F(EngineTest, ANewVersionKeepsTheWatchesThatDidNotChange) {
  const auto flow = activate(demo());
  const auto requests = client_->requests.size();
  auto changed = demo();
  changed.replace(changed.find("{{ opened.sender.login }}: "), 27, "changed ");
  const auto updated = blocking([&] { return engine_->flows().update(user_, flow, changed, 1); });
  ASSERT_TRUE(updated.has_value()) << updated.error().error.message;
  EXPECT_EQ(updated->version, 2);
  EXPECT_EQ(client_->requests.size(), requests) << "the provider notices nothing";
  deliver(issue("x"), "d1");
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  EXPECT_THAT(client_->requests.back().body, HasSubstr("changed x"));
  const auto stale = blocking([&] { return engine_->flows().update(user_, flow, demo(), 1); });
  EXPECT_EQ(stale.error().error.code, Errc::conflict);
}

TEST_F(EngineTest, WhyShowsWhatAConditionRead) {
  activate(demo());
  deliver(issue("x", "later"), "d1");
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  const auto explained = why(*database_, user_, "d1");
  EXPECT_THAT(explained->conclusion, HasSubstr(R"(condition 'urgent' was false: opened.issue.labels.name = "later")"));
}

TEST_F(EngineTest, WhyTellsARepetitionFromWhatNobodyWanted) {
  activate(demo());
  deliver(issue("x"), "d1");
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  const auto now = clock_.now();
  deliver(issue("x"), "d1");
  deliver(issue("x", "urgent", "closed"), "d2");
  const auto all = why_of_time(*database_, {.user = user_, .flow = std::nullopt, .since = now - std::chrono::hours{1}, .until = now + std::chrono::hours{1}, .limit = 10});
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 3U);
  EXPECT_THAT((*all)[0].conclusion, HasSubstr("the trigger did not want it"));
  EXPECT_THAT((*all)[1].conclusion, HasSubstr("its event was known before"));
  EXPECT_EQ((*all)[1].gates.back().name, "deduplicated");
  EXPECT_EQ((*all)[2].conclusion, "everything was done") << "what was stopped stands first";
  EXPECT_TRUE(why_of_time(*database_, {.user = UserId::make(now), .flow = std::nullopt, .since = now - std::chrono::hours{1}, .until = now + std::chrono::hours{1}, .limit = 10})->empty());
}

TEST_F(EngineTest, start_one_flow_leaves_others_alone) {
  const auto first = activate(demo());
  const auto token = token_;
  const auto secret = hook_secret_;
  const auto second = activate(demo());
  ASSERT_TRUE(blocking([&] { return engine_->flows().deactivate(user_, second); }).has_value());
  token_ = token;
  hook_secret_ = secret;
  EXPECT_EQ(deliver(issue("x"), "d1"), 204);
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  EXPECT_EQ(runs()[0].flow, first);
}

TEST_F(EngineTest, n_timer_flows_fire_n_times) {
  const std::string timer = R"({"name":"t","nodes":[{"id":"tick","trigger":"timer.every","params":{"interval_s":60}},
    {"id":"tell","reaction":"discord.send_channel_message","connection":"team","after":["tick"],
     "params":{"channel_id":"1100000000000000001","content":"{{ tick.scheduled }}"}}]})";
  for (int i = 0; i < 3; ++i) {
    auto created = engine_->flows().create(user_, timer);
    ASSERT_TRUE(created.has_value()) << created.error().error.message;
    ASSERT_TRUE(blocking([&] { return engine_->flows().activate(user_, created->id); }).has_value());
  }
  crash();  // the next due times are in the store
  clock_.advance(std::chrono::seconds{61});
  boot();
  ASSERT_TRUE(wait_for_runs(3, "completed"));
  EXPECT_EQ(messages(), 3U);
}

TEST_F(EngineTest, OthersFlowsAreNotThere) {
  const auto flow = activate(demo());
  const auto stranger = UserId::make(clock_.now());
  EXPECT_EQ(engine_->flows().find(stranger, flow).error().code, Errc::not_found);
  EXPECT_EQ(blocking([&] { return engine_->flows().deactivate(stranger, flow); }).error().code, Errc::not_found);
  deliver(issue("x"), "d1");
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  EXPECT_EQ(find_run(*database_, stranger, runs()[0].id).error().code, Errc::not_found);
  EXPECT_EQ(why(*database_, stranger, "d1").error().code, Errc::not_found);
}

}  // namespace
}  // namespace patchbay::engine
