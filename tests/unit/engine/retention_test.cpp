#include "core/bytes.hpp"
#include "engine/purge.hpp"
#include "engine/replay.hpp"
#include "engine/run_actions.hpp"
#include "engine_rig.hpp"

namespace patchbay::engine {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

class RetentionTest : public EngineRig {
 protected:
  void boot_with(RetentionSettings settings) {
    settings.look = milliseconds{10};
    settings.count = milliseconds{20};
    retention_settings_ = settings;
    crash();
    boot();
  }
  void run_some(int count, const std::string& prefix = "d", std::size_t padding = 0) {
    const auto before = messages();
    for (int i = 0; i < count; ++i) {
      auto body = issue(prefix, "urgent");
      body.replace(body.find("\"u\""), 3, "\"" + random_token(padding) + "\"");  // nothing that packs
      ASSERT_EQ(deliver(body, prefix + std::to_string(i)), 204);
      clock_.advance(milliseconds{5});
    }
    const auto wanted = before + static_cast<std::size_t>(count);
    ASSERT_TRUE(loop_->run_until([&] { return messages() == wanted && engine_->runs_in_memory() == 0; }, seconds{20}));
  }
  std::int64_t count(const std::string& table) { return number("SELECT COUNT(*) FROM " + table); }
  std::int64_t number(const std::string& sql) {
    std::int64_t rows = -1;
    (void)database_->read([&](store::Transaction& transaction) -> Result<> {
      (void)transaction.execute(sql, {}, [&](const store::Row& row) { rows = row.integer(0); });
      return {};
    });
    return rows;
  }
  bool wait_for_count(const std::string& table, std::int64_t wanted) {
    return loop_->run_until([&] { return count(table) == wanted; }, seconds{10});
  }
};

TEST_F(RetentionTest, WhatIsTooOldGoesWithAllThatBelongsToIt) {
  boot_with({.age = hours{1}});
  activate(demo());
  run_some(5, "old");
  deliver(issue("x", "urgent", "closed"), "unwanted");  // brings no event
  clock_.advance(hours{2});
  run_some(1, "new");
  ASSERT_TRUE(wait_for_count("runs", 1));
  for (const auto* table : {"steps", "events", "deliveries"}) EXPECT_TRUE(wait_for_count(table, table == std::string("steps") ? 2 : 1)) << table << count(table);
  EXPECT_EQ(deliver(issue("again"), "new0"), 204);
  EXPECT_EQ(runs().size(), 1U) << "what is kept is still known";
}

TEST_F(RetentionTest, RunsThatHaveNotEndedStay) {
  boot_with({.age = hours{1}});
  discord_answers_ = {egress::HttpReply{503, {}, "{}"}};
  activate(demo(R"(,"retry":{"attempts":3,"first_ms":86000000,"longest_ms":86000000})"));
  deliver(issue("x"), "d1");
  ASSERT_TRUE(loop_->run_until([&] { return messages() == 1 && engine_->runs_in_memory() == 0; }, seconds{5}));
  clock_.advance(hours{2});
  loop_->run_until([] { return false; }, milliseconds{200});
  EXPECT_EQ(count("runs"), 1);
  EXPECT_EQ(count("events"), 1);
  clock_.advance(hours{24});
  ASSERT_TRUE(loop_->run_until([&] { return messages() == 2; }, seconds{5}));
  EXPECT_TRUE(wait_for_count("runs", 0));
}

TEST_F(RetentionTest, OfEachFlowTheNewestStay) {
  const auto first = activate(demo());
  run_some(2, "a");
  activate(demo());
  run_some(6, "b");
  boot_with({.age = {}, .runs_per_flow = 3});
  ASSERT_TRUE(wait_for_count("runs", 5));
  EXPECT_EQ(count("deliveries"), 5);
  RunFilter filter;
  filter.user = user_;
  filter.flow = first;
  EXPECT_EQ(list_runs(*database_, filter)->size(), 2U);
}

TEST_F(RetentionTest, OfAUserToo) {
  activate(demo());
  run_some(6);
  boot_with({.age = {}, .runs_per_user = 2});
  EXPECT_TRUE(wait_for_count("runs", 2));
}

TEST_F(RetentionTest, ByTheSizeOfAFlowsRequests) {
  activate(demo());
  run_some(10, "d");
  boot_with({.age = {}, .bytes_per_flow = 1000});
  const auto size = [&] { return number("SELECT SUM(LENGTH(body)) FROM deliveries"); };
  ASSERT_TRUE(loop_->run_until([&] { return size() <= 1000; }, seconds{5}));
  loop_->run_until([] { return false; }, milliseconds{300});
  EXPECT_GT(size(), 500) << "no more than had to";
}

TEST_F(RetentionTest, ByTheSizeOfTheDatabaseTheOldestGoFirst) {
  if (database_->is_shared()) GTEST_SKIP() << "a server's files shrink when it likes";
  activate(demo());
  run_some(45, "d", 2000);
  const auto full = database_->space()->used;
  boot_with({.age = {}, .bytes = full * 9 / 10});
  ASSERT_TRUE(loop_->run_until([&] { return database_->space()->used <= full * 9 / 10; }, seconds{10}));
  EXPECT_GT(count("runs"), 5) << "no more than had to";
  EXPECT_LT(count("runs"), 45);
}

TEST_F(RetentionTest, TheEventOfAnOpenReplayStays) {
  activate(demo(R"(,"retry":{"attempts":3,"first_ms":86000000,"longest_ms":86000000})"));
  run_some(1);
  const auto original = runs().at(0).id;
  discord_answers_ = {egress::HttpReply{503, {}, "{}"}};
  const auto replay = insert_replay(*database_, {.user = user_, .run = original}, clock_.now());
  ASSERT_TRUE(replay);
  engine_->look_for_runs();
  ASSERT_TRUE(loop_->run_until([&] { return messages() == 2 && engine_->runs_in_memory() == 0; }, seconds{5}));
  clock_.advance(hours{2});
  boot_with({.age = hours{1}});
  loop_->run_until([] { return false; }, milliseconds{200});
  EXPECT_EQ(count("events"), 1);
  clock_.advance(hours{24});
  EXPECT_TRUE(wait_for_count("runs", 0));
  EXPECT_TRUE(wait_for_count("events", 0));
}

TEST(Purge, ABoundaryLiesBetweenTheIdsOfTwoMoments) {
  const Timestamp now{seconds{2'700'000'000}};  // later than any id of this process: those only grow
  EXPECT_LT(RunId::make(now - milliseconds{1}).to_string(), purge_boundary(now));
  EXPECT_GE(RunId::make(now).to_string(), purge_boundary(now));
}

}  // namespace
}  // namespace patchbay::engine
