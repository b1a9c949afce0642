// Who begins next, and who is left alone for a while.
#include <gtest/gtest.h>

#include "engine/breaker.hpp"
#include "engine/launch_queue.hpp"

namespace patchbay::engine {
namespace {

using std::chrono::seconds;

const Timestamp kNow{seconds{1'700'000'000}};

struct Turns {
  LaunchQueue<std::string> queue;
  FlowId a = FlowId::make(kNow);
  FlowId b = FlowId::make(kNow);
  explicit Turns(std::size_t places) : queue(places) {}
  std::string next() { return queue.pop().value_or("-"); }
};

TEST(LaunchQueue, FlowsAndProvidersTakeTurns) {
  Turns turns(100);
  for (int i = 0; i < 3; ++i) turns.queue.push("x", turns.a, "xa");
  turns.queue.push("x", turns.b, "xb");
  turns.queue.push("y", turns.a, "ya");
  std::string order;
  for (int i = 0; i < 6; ++i) order += turns.next() + " ";
  EXPECT_EQ(order, "xa ya xb xa xa - ");
}

TEST(LaunchQueue, OneFlowCannotHaveAllPlaces) {
  Turns turns(50);
  for (int i = 0; i < 100; ++i) turns.queue.push("x", turns.a, "xa");
  int begun = 0;
  while (turns.next() != "-") ++begun;
  EXPECT_GT(begun, 35);
  EXPECT_LT(begun, 50);
  turns.queue.push("x", turns.b, "xb");
  EXPECT_EQ(turns.next(), "xb");
  for (int i = 0; i < begun; ++i) turns.queue.done("x", turns.a);
  EXPECT_EQ(turns.next(), "xa");
}

TEST(LaunchQueue, WithOnePlaceEverybodyComesToIt) {
  Turns turns(1);
  turns.queue.push("x", turns.a, "xa");
  turns.queue.push("y", turns.b, "yb");
  EXPECT_EQ(turns.next(), "xa");
  EXPECT_EQ(turns.next(), "-");
  turns.queue.done("x", turns.a);
  EXPECT_EQ(turns.next(), "yb");
  turns.queue.done("y", turns.b);
  EXPECT_EQ(turns.queue.free(), 1U);
  EXPECT_EQ(turns.queue.size(), 0U);
}

class BreakerTest : public ::testing::Test {
 protected:
  void fail(int times) {
    for (int i = 0; i < times; ++i) breaker_.failed(key_, true, now_);
  }
  bool may() { return !breaker_.wait_until(key_, false, now_).has_value(); }
  Breaker breaker_;
  const Breaker::Key key_{"slack", ConnectionId::make(kNow)};
  Timestamp now_ = kNow;
};

TEST_F(BreakerTest, OpensAfterTenFailuresInARowAndTriesOnce) {
  fail(9);
  EXPECT_TRUE(may());
  fail(1);
  EXPECT_FALSE(may());
  EXPECT_EQ(breaker_.open_until(key_, now_), now_ + seconds{5});
  EXPECT_FALSE(breaker_.wait_until({"slack", ConnectionId::make(kNow)}, false, now_)) << "another connection";
  now_ += seconds{5};
  EXPECT_TRUE(may());
  EXPECT_FALSE(may()) << "one tries for all";
  fail(1);
  EXPECT_EQ(breaker_.open_until(key_, now_), now_ + seconds{10}) << "twice as long";
  now_ += seconds{10};
  EXPECT_TRUE(may());
  breaker_.succeeded(key_);
  EXPECT_TRUE(may());
  EXPECT_TRUE(may());
}

TEST_F(BreakerTest, AnAnswerOfAnyKindShowsThatItIsWell) {
  fail(9);
  breaker_.failed(key_, false, now_);
  fail(9);
  EXPECT_TRUE(may());
}

TEST_F(BreakerTest, RetriesAreASmallPartWhereNothingSucceeds) {
  const auto spend = [&] {
    int retries = 0;
    while (!breaker_.wait_until(key_, true, now_)) ++retries;
    return retries;
  };
  EXPECT_EQ(spend(), 50);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(may());
  EXPECT_EQ(spend(), 2) << "a quarter of the first attempts";
  now_ += seconds{1};
  EXPECT_EQ(spend(), 10) << "and ten a second";
}

TEST_F(BreakerTest, WhereAllIsWellRetriesGoThrough) {
  for (int i = 0; i < 1000; ++i) {
    ASSERT_FALSE(breaker_.wait_until(key_, true, now_)) << i;
    breaker_.succeeded(key_);
  }
}

}  // namespace
}  // namespace patchbay::engine
