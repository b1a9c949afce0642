#include "engine/hosts.hpp"

#include <gtest/gtest.h>

#include "store/migrations.hpp"
#include "support/test_database.hpp"

namespace patchbay::engine {
namespace {

using std::chrono::milliseconds;

class HostsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    database_ = *store::open(place_.url());
    ASSERT_TRUE(store::migrate_to_latest(*database_));
  }
  Hosts host(milliseconds lease = milliseconds{200}) { return {*database_, HostId::make(now_), lease, [this] { return steady_; }}; }
  void add_run(const std::string& id, const Hosts& of) {
    ASSERT_TRUE(database_->write([&](store::Transaction& transaction) -> Result<> {
      auto added = transaction.execute(
          "INSERT INTO runs (id, flow_id, flow_version, user_id, watch_id, event_id, status, created_at, host) VALUES ($1, '', 1, '', '', '', "
          "'running', 0, $2)",
          {std::string_view(id), std::string_view(of.me())});
      if (!added) return std::unexpected(added.error());
      return {};
    }));
  }
  // "<host> <interrupted>" of a run.
  std::string owner(const std::string& id) {
    std::string text;
    EXPECT_TRUE(database_->read([&](store::Transaction& transaction) -> Result<> {
      (void)transaction.execute("SELECT COALESCE(host, 'free'), interrupted FROM runs WHERE id = $1", {std::string_view(id)}, [&](const store::Row& row) {
        text = std::string(row.text(0)) + " " + std::to_string(row.integer(1));
      });
      return {};
    }));
    return text;
  }
  Result<> fence(Hosts& host) {
    return database_->write([&](store::Transaction& transaction) { return host.fence(transaction); });
  }

  const Timestamp now_ = system_clock().now();
  std::chrono::steady_clock::time_point steady_ = std::chrono::steady_clock::now();
  support::TestDatabase place_;
  std::unique_ptr<store::Database> database_;
};

TEST_F(HostsTest, WhatADeadOneHadIsFreeWhenTheNextOneComesIn) {
  auto first = host();
  ASSERT_TRUE(first.enter(now_));
  add_run("r", first);
  EXPECT_TRUE(fence(first));
  auto second = host();
  ASSERT_TRUE(second.enter(now_));  // nobody holds the first one's place
  EXPECT_EQ(owner("r"), "free 1");
  EXPECT_TRUE(fence(second));
  EXPECT_EQ(fence(first).error().code, Errc::unavailable);
  EXPECT_TRUE(first.is_shut_out());
  EXPECT_FALSE(first.is_sure());
  EXPECT_FALSE(first.beat(now_));
  ASSERT_TRUE(first.enter(now_));
  EXPECT_TRUE(fence(first));
  EXPECT_FALSE(first.is_shut_out());
}

TEST_F(HostsTest, WhoLeavesGivesEverythingBack) {
  auto first = host();
  ASSERT_TRUE(first.enter(now_));
  add_run("r", first);
  ASSERT_TRUE(first.leave(now_, false));
  EXPECT_EQ(owner("r"), "free 0");
  EXPECT_FALSE(fence(first));
}

TEST_F(HostsTest, ABeatKeepsItAliveAndIsLookedAtTwice) {
  auto watcher = host();
  ASSERT_TRUE(watcher.enter(now_));
  auto other = host();  // comes in without looking at others, who have no places in this test
  const std::string row = "INSERT INTO hosts (id, name, beat, started_at) VALUES ('" + other.me() + "', '', 0, 0)";
  ASSERT_TRUE(database_->run_script(row));
  add_run("r", other);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(database_->run_script("UPDATE hosts SET beat = beat + 1 WHERE id = '" + other.me() + "'"));
    const auto freed = watcher.beat(now_);
    ASSERT_TRUE(freed);
    EXPECT_FALSE(*freed) << "its beat has moved";
  }
  EXPECT_TRUE(*watcher.beat(now_)) << "the place is free at the second look, too";
  EXPECT_EQ(owner("r"), "free 1");
}

TEST_F(HostsTest, AfterALeaseWithoutABeatItIsNotSure) {
  auto one = host();
  ASSERT_TRUE(one.enter(now_));
  EXPECT_TRUE(one.is_sure());
  steady_ += milliseconds{201};
  EXPECT_FALSE(one.is_sure());
  ASSERT_TRUE(one.beat(now_));
  EXPECT_TRUE(one.is_sure());
}

TEST_F(HostsTest, OneThatHasItsPlaceButDoesNotStirIsDeadAfterALease) {
  if (!database_->is_shared()) GTEST_SKIP() << "a file has one host";
  auto watcher = host();
  ASSERT_TRUE(watcher.enter(now_));
  const auto frozen = HostId::make(now_).to_string();
  const auto place = store::open(place_.url(), {.place = frozen});
  ASSERT_TRUE(place);
  ASSERT_TRUE(database_->run_script("INSERT INTO hosts (id, name, beat, started_at) VALUES ('" + frozen + "', '', 0, 0)"));
  EXPECT_FALSE(*watcher.beat(now_));
  steady_ += milliseconds{199};
  EXPECT_FALSE(*watcher.beat(now_));
  steady_ += milliseconds{1};
  EXPECT_TRUE(*watcher.beat(now_));
}

}  // namespace
}  // namespace patchbay::engine
