#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "plugins/rig.hpp"
#include "timer/src/rfc3339.hpp"

namespace patchbay::plugins_test {
namespace {

using nlohmann::json;
using plugin::Verb;
using namespace std::chrono_literals;

// Polls one watch as the engine does: with the state that was kept, at the time that was asked for.
struct Timer : testing::Test {
  Rig rig{{.plugin = "timer"}};  // its clock stands at 2026-11-21T00:00:00Z
  std::string name = "every";
  std::string params;
  std::string state;
  plugin::Outcome last;

  std::vector<json> poll() {
    auto call = rig.call(Verb::poll, name, params);
    call.state = state;
    call.state_version = state.empty() ? 0 : 1;
    last = rig.run(std::move(call));
    if (last.error) return {};
    if (last.state) state = *last.state;
    std::vector<json> events;
    for (const auto& event : last.events) {
      events.push_back(json::parse(event.data));
      EXPECT_EQ(event.key, events.back().at("scheduled"));
    }
    return events;
  }
  std::vector<json> poll_when_due() {
    rig.clock.advance(*last.next);
    return poll();
  }
};

json tick(const std::string& time, const std::string& scheduled, int missed) {
  return {{"time", time}, {"scheduled", scheduled}, {"missed", missed}};
}

TEST_F(Timer, TicksAtAnInterval) {
  params = R"({"interval": "5m"})";
  EXPECT_TRUE(poll().empty());
  EXPECT_EQ(*last.next, 5min);
  EXPECT_EQ(poll_when_due(), std::vector{tick("2026-11-21T00:05:00.000Z", "2026-11-21T00:05:00.000Z", 0)});
  EXPECT_EQ(poll_when_due(), std::vector{tick("2026-11-21T00:10:00.000Z", "2026-11-21T00:10:00.000Z", 0)});
}

TEST_F(Timer, DoesNotDrift) {
  params = R"({"interval_s": 10})";
  poll();
  rig.clock.advance(13s);
  EXPECT_EQ(poll(), std::vector{tick("2026-11-21T00:00:13.000Z", "2026-11-21T00:00:10.000Z", 0)});
  EXPECT_EQ(*last.next, 7s);
}

TEST_F(Timer, WaitsWhenItIsAskedTooEarly) {
  params = R"({"interval_s": 10})";
  poll();
  rig.clock.advance(4s);
  EXPECT_TRUE(poll().empty());
  EXPECT_EQ(*last.next, 6s);
  EXPECT_FALSE(last.state);
}

TEST_F(Timer, MakesOneEventOfMissedTicks) {
  params = R"({"interval": "1m"})";
  poll();
  rig.clock.advance(10min + 30s);
  EXPECT_EQ(poll(), std::vector{tick("2026-11-21T00:10:30.000Z", "2026-11-21T00:10:00.000Z", 9)});
  EXPECT_EQ(*last.next, 30s);
}

TEST_F(Timer, SkipsMissedTicks) {
  params = R"({"interval": "1h", "missed": "skip"})";
  poll();
  rig.clock.advance(5h + 30min);
  EXPECT_TRUE(poll().empty());
  EXPECT_EQ(*last.next, 30min);
  EXPECT_EQ(poll_when_due().size(), 1);
}

TEST_F(Timer, MakesAnEventOfEachMissedTick) {
  params = R"({"interval": "1m", "missed": "all"})";
  poll();
  rig.clock.advance(150min);
  const auto first = poll();
  ASSERT_EQ(first.size(), 100);
  EXPECT_EQ(first[0].at("scheduled"), "2026-11-21T00:01:00.000Z");
  EXPECT_EQ(*last.next, 1ms);
  const auto rest = poll();
  ASSERT_EQ(rest.size(), 50);
  EXPECT_EQ(rest.back().at("scheduled"), "2026-11-21T02:30:00.000Z");
  EXPECT_EQ(*last.next, 1min);
}

TEST_F(Timer, RepeatsTheSameEventWhenItsCommitFailed) {
  params = R"({"interval": "1m"})";
  poll();
  rig.clock.advance(1min);
  const auto before = state;
  const auto first = poll();
  state = before;
  rig.clock.advance(2s);
  EXPECT_EQ(poll().at(0).at("scheduled"), first.at(0).at("scheduled"));
}

TEST_F(Timer, CountsFromTheStart) {
  params = R"({"interval": "1h", "start": "2026-11-20T23:45:00Z"})";
  poll();
  EXPECT_EQ(*last.next, 45min);
  params = R"({"interval": "1h", "start": "2026-11-21T09:30:00+02:00"})";  // changed: begins anew
  EXPECT_TRUE(poll().empty());
  EXPECT_EQ(*last.next, 7h + 30min);
}

TEST_F(Timer, LooksAtFarTimesOnceADay) {
  params = R"({"interval": "30d"})";
  poll();
  EXPECT_EQ(*last.next, 24h);
  for (int day = 1; day < 30; ++day) EXPECT_TRUE(poll_when_due().empty()) << day;
  EXPECT_EQ(poll_when_due().size(), 1);
}

TEST_F(Timer, RefusesWhatIsNoInterval) {
  for (const char* bad : {R"({"interval": "999ms"})", R"({"interval": "0s"})", R"({"interval": "400d"})",
                          R"({"interval_s": 0.5})", R"({"interval": "1m", "start": "tomorrow"})", "{}"}) {
    auto call = rig.call(Verb::poll, "every", bad);
    const auto outcome = rig.run_unchecked(std::move(call));
    ASSERT_TRUE(outcome.error) << bad;
    EXPECT_EQ(outcome.error->code, Errc::invalid) << bad;
  }
}

TEST_F(Timer, FiresOnceAtATime) {
  name = "at";
  params = R"({"time": "2026-11-21T02:00:00+01:00"})";
  EXPECT_TRUE(poll().empty());
  EXPECT_EQ(*last.next, 1h);
  EXPECT_EQ(poll_when_due(), std::vector{tick("2026-11-21T01:00:00.000Z", "2026-11-21T01:00:00.000Z", 0)});
  EXPECT_GE(*last.next, 24h * 365);
  EXPECT_TRUE(poll_when_due().empty());
}

TEST_F(Timer, FiresLateWhenItsTimePassedMeanwhile) {
  name = "at";
  params = R"({"time": "2026-11-21T01:00:00Z"})";
  poll();
  rig.clock.advance(48h);
  EXPECT_EQ(poll(), std::vector{tick("2026-11-23T00:00:00.000Z", "2026-11-21T01:00:00.000Z", 0)});
  EXPECT_TRUE(poll().empty());
}

TEST_F(Timer, RefusesATimeThatHasPassed) {
  name = "at";
  params = R"({"time": "2026-11-20T23:59:59Z"})";
  poll();
  ASSERT_TRUE(last.error);
  EXPECT_EQ(last.error->message, "the time 2026-11-20T23:59:59Z has passed");
}

TEST_F(Timer, WaitsForTheNextCentury) {
  name = "at";
  params = R"({"time": "2099-01-01T00:00:00Z"})";
  EXPECT_TRUE(poll().empty());
  EXPECT_EQ(*last.next, 24h);
}

TEST(TimerRfc3339, ReadsAndWrites) {
  EXPECT_EQ(timer::parse_rfc3339("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(timer::parse_rfc3339("1985-04-12T23:20:50.52Z"), 482196050520);  // RFC 3339, section 5.8
  EXPECT_EQ(timer::parse_rfc3339("1996-12-19T16:39:57-08:00"), 851042397000);
  EXPECT_EQ(timer::parse_rfc3339("2024-02-29t12:00:00.1234567z"), 1709208000123);
  for (const char* bad :
       {"", "2026", "2026-11-21", "2026-02-30T00:00:00Z", "2026-11-21T24:00:00Z", "2026-11-21T00:00:00",
        "2026-11-21T00:00:00Zx", "2026-11-21T00:00:00.Z", "2026-11-21T00:00:00+1:00"}) {
    EXPECT_FALSE(timer::parse_rfc3339(bad)) << bad;
  }
  EXPECT_EQ(timer::to_rfc3339(482196050520), "1985-04-12T23:20:50.520Z");
}

}  // namespace
}  // namespace patchbay::plugins_test
