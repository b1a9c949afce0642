#include "schedule/scheduler.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <vector>

namespace patchbay::schedule {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

// Keeps timers until the test fires them.
class FakeExecutor : public Executor {
 public:
  void post(Task task) override { timers[++last] = {0ms, std::move(task)}; }
  std::uint64_t after(std::chrono::milliseconds delay, Task task) override {
    timers[++last] = {delay, std::move(task)};
    return last;
  }
  void cancel(std::uint64_t timer) override { timers.erase(timer); }

  // Runs the only timer there is; it must be the only one.
  void fire() {
    ASSERT_EQ(timers.size(), 1U);
    auto task = std::move(timers.begin()->second.second);
    timers.clear();
    task();
  }
  std::chrono::milliseconds delay() const { return timers.size() == 1 ? timers.begin()->second.first : -1ms; }

  std::map<std::uint64_t, std::pair<std::chrono::milliseconds, Task>> timers;
  std::uint64_t last = 0;
};

class SchedulerTest : public ::testing::Test {
 protected:
  SchedulerTest() {
    scheduler.emplace(executor, clock, [this](WatchId watch) {
      called.push_back(watch);
      if (on_due) on_due(watch);
    });
  }
  std::vector<WatchId> take_called() { return std::exchange(called, {}); }

  FakeExecutor executor;
  ManualClock clock;
  std::vector<WatchId> called;
  std::function<void(WatchId)> on_due;
  std::optional<Scheduler> scheduler;
  const WatchId a = WatchId::make(clock.now());
  const WatchId b = WatchId::make(clock.now());
  const WatchId c = WatchId::make(clock.now());
};

TEST_F(SchedulerTest, CallsEachAtItsTimeWithOneTimer) {
  scheduler->set(a, clock.now() + 20s);
  EXPECT_EQ(executor.delay(), 20s);
  scheduler->set(b, clock.now() + 10s);
  EXPECT_EQ(executor.delay(), 10s);
  scheduler->set(c, clock.now() + 30s);
  EXPECT_EQ(executor.delay(), 10s);
  clock.advance(10s);
  executor.fire();
  EXPECT_THAT(take_called(), ElementsAre(b));
  EXPECT_EQ(executor.delay(), 10s);
  clock.advance(25s);
  executor.fire();
  EXPECT_THAT(take_called(), ElementsAre(a, c)) << "late, and in order";
  EXPECT_THAT(executor.timers, IsEmpty());
}

TEST_F(SchedulerTest, ReplacesAnEarlierTime) {
  scheduler->set(a, clock.now() + 10s);
  scheduler->set(a, clock.now() + 20s);
  EXPECT_EQ(executor.delay(), 20s);
  clock.advance(10s);
  scheduler->step();
  EXPECT_THAT(called, IsEmpty());
  scheduler->set(a, clock.now() - 1s);
  EXPECT_EQ(executor.delay(), 0s) << "what is past is due at once, but not inside set()";
  EXPECT_THAT(called, IsEmpty());
  executor.fire();
  EXPECT_THAT(take_called(), ElementsAre(a));
  clock.advance(1h);
  scheduler->step();
  EXPECT_THAT(called, IsEmpty());
}

TEST_F(SchedulerTest, ErasesAndTakesTheTimerBack) {
  scheduler->set(a, clock.now() + 10s);
  scheduler->set(b, clock.now() + 20s);
  scheduler->erase(a);
  EXPECT_EQ(executor.delay(), 20s);
  scheduler->erase(b);
  EXPECT_THAT(executor.timers, IsEmpty());
  scheduler->erase(c);
  clock.advance(1h);
  scheduler->step();
  EXPECT_THAT(called, IsEmpty());
}

TEST_F(SchedulerTest, IsNeverEarly) {
  scheduler->set(a, clock.now() + 10s + 1us);
  EXPECT_EQ(executor.delay(), 10'001ms) << "rounded up";
  clock.advance(10s);
  executor.fire();
  EXPECT_THAT(called, IsEmpty());
  EXPECT_EQ(executor.delay(), 1ms);
  clock.advance(1ms);
  executor.fire();
  EXPECT_THAT(called, ElementsAre(a));
}

TEST_F(SchedulerTest, LooksAtTheClockEveryMinute) {
  scheduler->set(a, clock.now() + 24h);
  EXPECT_EQ(executor.delay(), 60s);
  clock.advance(60s);
  executor.fire();
  EXPECT_EQ(executor.delay(), 60s);
  clock.advance(24h);  // somebody set the clock
  executor.fire();
  EXPECT_THAT(called, ElementsAre(a));
}

TEST_F(SchedulerTest, DoesNotCallWhatAnotherCallbackErasedOrMoved) {
  on_due = [&](WatchId watch) {
    if (watch != a) return;
    scheduler->erase(b);
    scheduler->set(c, clock.now() + 5s);
  };
  scheduler->set(a, clock.now());
  scheduler->set(b, clock.now() + 1s);
  scheduler->set(c, clock.now() + 1s);
  clock.advance(1s);
  executor.fire();
  EXPECT_THAT(take_called(), ElementsAre(a));
  EXPECT_EQ(executor.delay(), 5s);
}

TEST_F(SchedulerTest, DoesNotTurnForEverWhenACallbackSetsThePast) {
  on_due = [&](WatchId watch) { scheduler->set(watch, clock.now() - 1s); };
  scheduler->set(a, clock.now());
  executor.fire();
  EXPECT_THAT(take_called(), ElementsAre(a));
  EXPECT_EQ(executor.delay(), 0s);
  executor.fire();
  EXPECT_THAT(take_called(), ElementsAre(a));
}

TEST_F(SchedulerTest, MayBeDestroyedInItsCallback) {
  on_due = [&](WatchId) { scheduler.reset(); };
  scheduler->set(a, clock.now());
  scheduler->set(b, clock.now());
  executor.fire();
  EXPECT_THAT(called, ElementsAre(a));
  EXPECT_THAT(executor.timers, IsEmpty());
}

TEST_F(SchedulerTest, IgnoresATimerThatCannotBeTakenBackAnyMore) {
  scheduler->set(a, clock.now());
  auto task = std::move(executor.timers.begin()->second.second);  // it is about to run
  scheduler.reset();
  task();
  EXPECT_THAT(called, IsEmpty());
}

TEST_F(SchedulerTest, CallsThousandsInTheOrderOfTheirTimes) {
  std::map<WatchId, Timestamp> times;
  for (int i = 0; i < 5000; ++i) {
    const auto watch = WatchId::make(clock.now());
    times[watch] = clock.now() + std::chrono::milliseconds{(i * 7919) % 5000};
    scheduler->set(watch, times[watch]);
  }
  while (called.size() < times.size()) {
    const auto before = called.size();
    clock.advance(100ms);
    scheduler->step();
    ASSERT_GT(called.size(), before);
  }
  EXPECT_TRUE(std::is_sorted(called.begin(), called.end(),
                             [&](WatchId left, WatchId right) { return times[left] < times[right]; }));
}

}  // namespace
}  // namespace patchbay::schedule
