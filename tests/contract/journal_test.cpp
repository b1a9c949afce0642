// What the journal promises, on every database.
#include "journal/journal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "contract/journal_fixture.hpp"
#include "contract/places.hpp"

namespace patchbay::journal {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

class JournalContract : public testing::TestWithParam<test::Adapter> {
 protected:
  void SetUp() override { start({}); }
  void start(GroupCommit::Limits limits) {
    fixture_.reset();
    place_ = GetParam().make();
    fixture_ = std::make_unique<Fixture>(place_->open(), limits);
    fixture_->add_watch(fixture_->watch);
  }

  std::unique_ptr<test::Place> place_;
  std::unique_ptr<Fixture> fixture_;
};

INSTANTIATE_TEST_SUITE_P(Databases, JournalContract, testing::ValuesIn(test::adapters()),
                         [](const auto& info) { return info.param.name; });

TEST_P(JournalContract, HasCommittedBeforeItCallsBack) {
  auto& f = *fixture_;
  auto made = f.ingest({"push-1"}, R"({"n":1})");
  bool called = false;
  ASSERT_TRUE(f.journal.append(made, [&](Result<Ingest> result) {
    called = true;
    ASSERT_TRUE(result);
    EXPECT_FALSE(result->events[0].duplicate);
    auto other = place_->open();  // sees what is committed only
    auto found = find_delivery(*other, f.user, result->delivery->id);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->body, R"({"n":1})");
  }));
  EXPECT_FALSE(called) << "never from inside append";
  ASSERT_TRUE(f.loop.run_until([&] { return called; }, kLongEnough));
}

TEST_P(JournalContract, StoresDeliveryEventAndRun) {
  auto& f = *fixture_;
  auto made = f.ingest({"push-1", "push-2"}, std::string("\0bin\xff", 5));
  made.events[1].is_body = false;
  made.events[1].data = R"({"a":1})";
  const auto done = f.commit_one(std::move(made));
  ASSERT_TRUE(done);
  const auto found = find_delivery(*f.database, f.user, done->delivery->id);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->watch, f.watch);
  EXPECT_EQ(found->flow, f.flow);
  EXPECT_EQ(found->received, f.now);
  EXPECT_EQ(found->method, "POST");
  EXPECT_EQ(found->query, "a=b");
  EXPECT_EQ(found->headers_json, R"({"x":"y"})");
  EXPECT_EQ(found->body, std::string("\0bin\xff", 5));
  EXPECT_EQ(found->body_bytes, 5);
  EXPECT_EQ(found->status, "processed");
  EXPECT_EQ(found->attempt, 1);
  EXPECT_EQ(found->http_status, 204);
  EXPECT_EQ(found->events, 2);
  ASSERT_THAT(found->event_list, SizeIs(2));
  EXPECT_EQ(found->event_list[0].id, done->events[0].id);
  EXPECT_EQ(found->event_list[0].key, "push-1");
  EXPECT_EQ(found->event_list[0].run, done->events[0].run);
  EXPECT_THAT(f.column("SELECT COALESCE(data, 'the body') FROM events ORDER BY id"),
              ElementsAre("the body", R"({"a":1})"));
  EXPECT_THAT(f.column("SELECT status || flow_version FROM runs"), ElementsAre("pending3", "pending3"));
  EXPECT_EQ(f.column("SELECT id FROM runs ORDER BY id")[1], done->events[1].run.to_string());
}

TEST_P(JournalContract, DropsAnEventThatIsKnown) {
  auto& f = *fixture_;
  ASSERT_TRUE(f.commit_one(f.ingest({"push-1"})));
  const auto second = f.commit_one(f.ingest({"push-1", "push-2"}));
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->events[0].duplicate);
  EXPECT_FALSE(second->events[1].duplicate);
  EXPECT_EQ(f.count("events"), 2);
  EXPECT_EQ(f.count("runs"), 2);
  EXPECT_EQ(find_delivery(*f.database, f.user, second->delivery->id)->events, 1);
}

TEST_P(JournalContract, KeepsARedeliveryWithoutEvents) {
  auto& f = *fixture_;
  ASSERT_TRUE(f.commit_one(f.ingest({"push-1"})));
  const auto again = f.commit_one(f.ingest({"push-1"}));
  ASSERT_TRUE(again);
  const auto found = find_delivery(*f.database, f.user, again->delivery->id);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->events, 0);
  EXPECT_EQ(found->status, "processed");
  EXPECT_TRUE(found->event_list.empty());
}

TEST_P(JournalContract, DropsAnEventThatIsTwiceInOneBatch) {
  auto& f = *fixture_;
  f.commit_together({f.ingest({"push-1", "push-1"}), f.ingest({"push-1"}), f.ingest({"push-2"})});
  std::vector<bool> duplicates;
  for (const auto& result : f.results) {
    ASSERT_TRUE(result);
    for (const auto& event : result->events) duplicates.push_back(event.duplicate);
  }
  EXPECT_THAT(duplicates, ElementsAre(false, true, true, false));
  EXPECT_EQ(f.count("events"), 2);
  EXPECT_EQ(f.count("runs"), 2);
  EXPECT_EQ(f.count("deliveries"), 3);
}

TEST_P(JournalContract, TellsTheSameKeyOfTwoWatchesApart) {
  auto& f = *fixture_;
  const auto other = WatchId::make(f.now);
  f.add_watch(other);
  auto second = f.ingest({"push-1"});
  second.watch = second.delivery->watch = other;
  f.commit_together({f.ingest({"push-1"}), std::move(second)});
  for (const auto& result : f.results) EXPECT_FALSE(result->events[0].duplicate);
  EXPECT_EQ(f.count("events"), 2);
}

TEST_P(JournalContract, MovesTheWatchWithItsEvents) {
  auto& f = *fixture_;
  auto made = f.ingest({"page-1"});
  made.delivery.reset();  // a poll
  made.events[0].is_body = false;
  made.events[0].data = "1";
  made.state = R"({"cursor":1})";
  made.state_version = 2;
  ASSERT_TRUE(f.commit_one(std::move(made)));
  EXPECT_THAT(f.column("SELECT state || state_version || ' ' || next_at || COALESCE(error, '') FROM watches"),
              ElementsAre(R"({"cursor":1}2 5)"));
  EXPECT_THAT(f.column("SELECT event_key FROM events WHERE delivery_id IS NULL"), ElementsAre("page-1"));
}

TEST_P(JournalContract, KeepsTheLastStateAndTimeOfABatch) {
  auto& f = *fixture_;
  std::vector<Ingest> all;
  for (int i = 0; i < 3; ++i) all.push_back(f.ingest({}));
  all[0].state = "first";
  all[0].next_at = from_micros(70);
  all[1].state = "second";
  all[1].state_version = 4;
  all[2].next_at = from_micros(80);
  f.commit_together(std::move(all));
  EXPECT_THAT(f.column("SELECT state || state_version || ' ' || next_at FROM watches"), ElementsAre("second4 80"));
}

TEST_P(JournalContract, TakesNothingForAStoppedWatch) {
  auto& f = *fixture_;
  const auto stopped = WatchId::make(f.now);
  f.add_watch(stopped, "stopped");
  std::vector<Ingest> all;
  all.push_back(f.ingest({"a"}));
  for (const auto watch : {stopped, WatchId::make(f.now)}) {  // stopped; gone
    auto& one = all.emplace_back(f.ingest({"b"}));
    one.watch = watch;
    one.state = "new";
  }
  all.push_back(f.ingest({"c"}));
  f.commit_together(std::move(all));
  ASSERT_THAT(f.results, SizeIs(4));
  EXPECT_TRUE(f.results[0]);
  EXPECT_EQ(f.results[1].error().code, Errc::not_found);
  EXPECT_EQ(f.results[2].error().code, Errc::not_found);
  EXPECT_TRUE(f.results[3]);
  EXPECT_EQ(f.count("deliveries"), 2);
  EXPECT_EQ(f.count("runs"), 2);
  EXPECT_THAT(f.column("SELECT DISTINCT state FROM watches"), ElementsAre("old"));
}

TEST_P(JournalContract, LetsOneBadIngestFailAlone) {
  auto& f = *fixture_;
  const auto known = f.commit_one(f.ingest({"first"}));
  ASSERT_TRUE(known);
  std::vector<Ingest> all;
  for (int i = 0; i < 9; ++i) all.push_back(f.ingest({fmt::format("push-{}", i)}));
  all[4].delivery->id = known->delivery->id;  // breaks the primary key
  all[4].state = "poison";
  f.commit_together(std::move(all));
  int failed = 0;
  for (const auto& result : f.results) {
    if (result) continue;
    ++failed;
    EXPECT_EQ(result.error().code, Errc::conflict);
  }
  EXPECT_EQ(failed, 1);
  EXPECT_EQ(f.count("deliveries"), 9);
  EXPECT_EQ(f.count("events"), 9) << "an ingest is stored whole or not at all";
  EXPECT_EQ(f.count("events WHERE event_key = 'push-4'"), 0);
  EXPECT_THAT(f.column("SELECT state FROM watches"), ElementsAre("old"));
}

TEST_P(JournalContract, GivesTheIngestBackWhenTheQueueIsFull) {
  start({.items = 2, .bytes = 1 << 20, .batch = 10});
  auto& f = *fixture_;
  f.gate.close(*f.commit, 1);
  f.append(f.ingest({"a"}));
  auto second = f.ingest({"b"}, "the body");
  const auto id = second.delivery->id;
  bool called = false;
  const auto queued = f.journal.append(second, [&](Result<Ingest>) { called = true; });
  ASSERT_FALSE(queued);
  EXPECT_EQ(queued.error().code, Errc::exhausted);
  EXPECT_EQ(second.delivery->id, id);
  EXPECT_EQ(second.delivery->body, "the body");
  ASSERT_THAT(second.events, SizeIs(1));
  EXPECT_EQ(second.events[0].key, "b");
  f.gate.open();
  f.wait_for(1);
  EXPECT_FALSE(called);
  EXPECT_EQ(f.count("deliveries"), 1);
}

TEST_P(JournalContract, RefusesAnEventThatPointsToNoBody) {
  auto& f = *fixture_;
  auto made = f.ingest({"a"});
  made.delivery.reset();
  EXPECT_EQ(f.journal.append(made, [](Result<Ingest>) {}).error().code, Errc::invalid);
}

TEST_P(JournalContract, FinishesADeliveryThatWasStoredRaw) {
  auto& f = *fixture_;
  auto raw = f.ingest({}, "slow");
  raw.delivery->status = DeliveryStatus::processing;
  raw.delivery->next = f.now + std::chrono::seconds{30};
  raw.delivery->http_status = 0;
  const auto record = *raw.delivery;
  auto finished = f.ingest({"push-1"});
  finished.delivery.reset();
  finished.finished_delivery = record;
  finished.finished_delivery->status = DeliveryStatus::processed;
  finished.finished_delivery->next.reset();
  finished.finished_delivery->http_status = 204;
  f.commit_together({std::move(raw), std::move(finished)});  // also when both come into one batch
  for (const auto& result : f.results) ASSERT_TRUE(result);
  const auto found = find_delivery(*f.database, f.user, record.id);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->status, "processed");
  EXPECT_EQ(found->attempt, 1);
  EXPECT_EQ(found->http_status, 204);
  EXPECT_EQ(found->events, 1);
  EXPECT_EQ(found->body, "slow");
  ASSERT_THAT(found->event_list, SizeIs(1));
  EXPECT_TRUE(claim_open_deliveries(*f.database, f.now + std::chrono::hours{1}, Duration{1}, 10)->empty());
}

// Whoever comes back after the end of his lease finds that somebody else has it.
TEST_P(JournalContract, OnlyWhoClaimedADeliveryLastFinishesIt) {
  auto& f = *fixture_;
  auto raw = f.ingest({}, "slow");
  raw.delivery->status = DeliveryStatus::processing;
  raw.delivery->next = f.now;
  const auto first = *raw.delivery;
  ASSERT_TRUE(f.commit_one(std::move(raw)));
  const auto claimed = claim_open_deliveries(*f.database, f.now + std::chrono::seconds{1}, std::chrono::seconds{30}, 10);
  ASSERT_TRUE(claimed);
  ASSERT_THAT(*claimed, SizeIs(1));
  auto late = f.ingest({});
  late.delivery.reset();
  late.finished_delivery = first;
  late.finished_delivery->status = DeliveryStatus::dead;
  ASSERT_TRUE(f.commit_one(std::move(late)));
  EXPECT_EQ(find_delivery(*f.database, f.user, first.id)->status, "processing");
  auto done = f.ingest({});
  done.delivery.reset();
  done.finished_delivery = claimed->front().record;
  done.finished_delivery->status = DeliveryStatus::processed;
  ASSERT_TRUE(f.commit_one(std::move(done)));
  EXPECT_EQ(find_delivery(*f.database, f.user, first.id)->status, "processed");
}

TEST_P(JournalContract, TakesNothingThatWasWorkedOutFromAnOlderState) {
  auto& f = *fixture_;
  auto first = f.ingest({"a"});
  first.revision = 0;
  first.state = "{}";
  ASSERT_TRUE(f.commit_one(std::move(first)));
  auto stale = f.ingest({"b"});
  stale.revision = 0;
  const auto refused = f.commit_one(std::move(stale));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::conflict);
  EXPECT_EQ(f.count("events"), 1);
  auto fresh = f.ingest({"b"});
  fresh.revision = 1;
  EXPECT_TRUE(f.commit_one(std::move(fresh)));
}

TEST_P(JournalContract, ARunIsThisHostsOrWaitsForOne) {
  auto& f = *fixture_;
  auto made = f.ingest({"a", "b", "c", "d"});
  made.events[1].claimed = false;
  for (const int i : {2, 3}) {
    made.events[i].lane = "lane";
    made.events[i].lane_width = 1;
  }
  ASSERT_TRUE(f.commit_one(std::move(made)));
  EXPECT_THAT(f.column("SELECT COALESCE(host, '-') || ' ' || CASE WHEN wake_at IS NULL THEN 'waits' ELSE 'due' END FROM runs ORDER BY id"),
              testing::ElementsAre("host waits", "- due", "- due", "- waits"));
}

TEST_P(JournalContract, ClaimsWhatIsDueLongestFirst) {
  auto& f = *fixture_;
  std::vector<Ingest> all;
  const std::vector<std::pair<DeliveryStatus, std::optional<Timestamp>>> kinds{
      {DeliveryStatus::retry_ready, f.now},
      {DeliveryStatus::pending, std::nullopt},
      {DeliveryStatus::processing, f.now - Duration{1}},
      {DeliveryStatus::processing, f.now + Duration{1}},
      {DeliveryStatus::retry_ready, f.now + Duration{1}},
      {DeliveryStatus::processed, std::nullopt},
      {DeliveryStatus::dead, std::nullopt}};
  std::vector<DeliveryId> ids;
  for (const auto& [status, next] : kinds) {
    auto& made = all.emplace_back(f.ingest({}, fmt::format("body {}", ids.size())));
    made.delivery->status = status;
    made.delivery->next = next;
    made.delivery->error = "busy";
    ids.push_back(made.delivery->id);
  }
  f.commit_together(std::move(all));

  const auto lease = std::chrono::seconds{30};
  const auto first = claim_open_deliveries(*f.database, f.now, lease, 2);
  ASSERT_TRUE(first) << first.error().message;
  ASSERT_THAT(*first, SizeIs(2));
  EXPECT_EQ((*first)[0].record.id, ids[1]);
  EXPECT_EQ((*first)[1].record.id, ids[2]);
  const auto& record = (*first)[0].record;
  EXPECT_EQ(record.body, "body 1");
  EXPECT_EQ(record.attempt, 2);
  EXPECT_EQ(record.status, DeliveryStatus::processing);
  EXPECT_EQ(record.next, f.now + lease);
  EXPECT_EQ(record.watch, f.watch);
  EXPECT_EQ(record.flow, f.flow);
  EXPECT_EQ(record.user, f.user);
  EXPECT_EQ(record.received, f.now);
  EXPECT_EQ(record.method, "POST");
  EXPECT_EQ(record.query, "a=b");
  EXPECT_EQ(record.headers_json, R"({"x":"y"})");
  EXPECT_EQ(record.error, "busy");

  const auto second = claim_open_deliveries(*f.database, f.now, lease, 10);
  ASSERT_THAT(*second, SizeIs(1));
  EXPECT_EQ((*second)[0].record.id, ids[0]);
  EXPECT_TRUE(claim_open_deliveries(*f.database, f.now, lease, 10)->empty());
  EXPECT_THAT(*claim_open_deliveries(*f.database, f.now + lease, lease, 10), SizeIs(5)) << "the leases have ended";
}

TEST_P(JournalContract, ListsDeliveriesNewestFirst) {
  auto& f = *fixture_;
  std::vector<Ingest> all;
  for (int i = 0; i < 5; ++i) all.push_back(f.ingest({fmt::format("k{}", i)}));
  all[3].delivery->status = DeliveryStatus::dead;
  all[3].delivery->error = "broken";
  std::vector<DeliveryId> ids;
  for (const auto& one : all) ids.push_back(one.delivery->id);
  f.commit_together(std::move(all));
  const auto listed = [&](DeliveryFilter filter) {
    std::vector<DeliveryId> found;
    const auto list = list_deliveries(*f.database, filter);
    EXPECT_TRUE(list) << list.error().message;
    for (const auto& one : list.value_or(std::vector<DeliverySummary>{})) found.push_back(one.id);
    return found;
  };
  EXPECT_THAT(listed({.user = f.user, .limit = 2}), ElementsAre(ids[4], ids[3]));
  EXPECT_THAT(listed({.user = f.user, .limit = 2, .before = ids[3]}), ElementsAre(ids[2], ids[1]));
  EXPECT_THAT(listed({.user = f.user, .status = "dead"}), ElementsAre(ids[3]));
  EXPECT_THAT(listed({.user = f.user, .watch = f.watch, .flow = f.flow}), SizeIs(5));
  EXPECT_THAT(listed({.user = f.user, .watch = WatchId::make(f.now)}), SizeIs(0));
  EXPECT_THAT(listed({.user = f.user, .flow = FlowId::make(f.now)}), SizeIs(0));
  EXPECT_THAT(listed({.user = UserId::make(f.now)}), SizeIs(0)) << "somebody else's";
  const auto dead = list_deliveries(*f.database, {.user = f.user, .status = "dead"});
  EXPECT_EQ(dead->at(0).error, "broken");
  EXPECT_EQ(dead->at(0).body_bytes, 2);
  EXPECT_EQ(dead->at(0).http_status, 204);
}

TEST_P(JournalContract, ShowsADeliveryToItsOwnerOnly) {
  auto& f = *fixture_;
  const auto done = f.commit_one(f.ingest({"a"}));
  ASSERT_TRUE(done);
  EXPECT_TRUE(find_delivery(*f.database, f.user, done->delivery->id));
  EXPECT_EQ(find_delivery(*f.database, UserId::make(f.now), done->delivery->id).error().code, Errc::not_found);
  EXPECT_EQ(find_delivery(*f.database, f.user, DeliveryId::make(f.now)).error().code, Errc::not_found);
}

}  // namespace
}  // namespace patchbay::journal
