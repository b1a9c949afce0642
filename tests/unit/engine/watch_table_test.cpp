#include "engine/watch_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace patchbay::engine {
namespace {

using ::testing::ElementsAre;
using Turn = Watch::Turn;

class WatchTurns : public ::testing::Test {
 protected:
  Result<> enter(Turn turn, const std::string& name) {
    return watch_.enter(turn, [this, name] { began_.push_back(name); });
  }
  Watch watch_{WatchRecord{}};
  std::vector<std::string> began_;
};

TEST_F(WatchTurns, WebhooksRunSideBySide) {
  ASSERT_TRUE(enter(Turn::beside_others, "a"));
  ASSERT_TRUE(enter(Turn::beside_others, "b"));
  EXPECT_THAT(began_, ElementsAre("a", "b"));
}

TEST_F(WatchTurns, WhoWantsToBeAloneWaitsForTheOthersAndTheyForIt) {
  ASSERT_TRUE(enter(Turn::beside_others, "a"));
  ASSERT_TRUE(enter(Turn::alone, "poll"));
  ASSERT_TRUE(enter(Turn::beside_others, "b"));
  EXPECT_THAT(began_, ElementsAre("a")) << "b does not overtake";
  watch_.leave();
  EXPECT_THAT(began_, ElementsAre("a", "poll"));
  watch_.leave();
  EXPECT_THAT(began_, ElementsAre("a", "poll", "b"));
}

TEST_F(WatchTurns, AStateIsBroughtByOneThatIsAlone) {
  ASSERT_TRUE(enter(Turn::beside_others, "a"));
  ASSERT_TRUE(enter(Turn::beside_others, "b"));
  EXPECT_FALSE(watch_.claim_state()) << "the other has not seen it";
  ASSERT_TRUE(enter(Turn::alone, "a again"));
  ASSERT_TRUE(enter(Turn::beside_others, "c"));
  ASSERT_TRUE(enter(Turn::beside_others, "d"));
  watch_.leave();
  watch_.leave();
  EXPECT_THAT(began_, ElementsAre("a", "b", "a again"));
  EXPECT_TRUE(watch_.claim_state());
  watch_.leave();
  EXPECT_THAT(began_, ElementsAre("a", "b", "a again", "c")) << "from then on one after another";
  EXPECT_TRUE(watch_.claim_state());
}

TEST_F(WatchTurns, TheOnlyOneKeepsItsState) {
  ASSERT_TRUE(enter(Turn::beside_others, "a"));
  EXPECT_TRUE(watch_.claim_state());
  ASSERT_TRUE(enter(Turn::beside_others, "b"));
  EXPECT_THAT(began_, ElementsAre("a"));
}

TEST_F(WatchTurns, TooManyAreRefused) {
  ASSERT_TRUE(enter(Turn::alone, "first"));
  for (std::size_t i = 0; i < Watch::kWaitingTasks; ++i) ASSERT_TRUE(enter(Turn::beside_others, "next"));
  const auto refused = enter(Turn::beside_others, "last");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::exhausted);
  watch_.leave();
  EXPECT_EQ(began_.size(), 1 + static_cast<std::size_t>(Watch::kTasksAtOnce));
}

TEST_F(WatchTurns, ThousandThatLeaveAtOnceNeedNoStack) {
  ASSERT_TRUE(enter(Turn::alone, "first"));
  int ran = 0;
  for (std::size_t i = 0; i < Watch::kWaitingTasks; ++i) {
    ASSERT_TRUE(watch_.enter(Turn::alone, [&] {
      ++ran;
      watch_.leave();
    }));
  }
  watch_.leave();
  EXPECT_EQ(ran, static_cast<int>(Watch::kWaitingTasks));
}

}  // namespace
}  // namespace patchbay::engine
