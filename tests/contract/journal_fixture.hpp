#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include <fmt/format.h>

#include "core/loop.hpp"
#include "journal/journal.hpp"
#include "store/migrations.hpp"

namespace patchbay::journal {

using store::GroupCommit;
using store::Row;
using store::Transaction;

inline constexpr std::chrono::seconds kLongEnough{20};

// Holds the commit thread up, so that what is appended meanwhile comes into one batch.
class Gate final : public GroupCommit::Applier {
 public:
  struct Item final : GroupCommit::Item {
    std::size_t bytes() const override { return 0; }
    void finished(Result<>) override {}
  };
  Result<> apply(Transaction&, std::span<GroupCommit::Item* const>) override {
    std::unique_lock lock(mutex_);
    entered_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
    return {};
  }
  void close(GroupCommit& queue, std::size_t place) {
    std::unique_ptr<GroupCommit::Item> item = std::make_unique<Item>();
    {
      const std::lock_guard lock(mutex_);
      open_ = entered_ = false;
    }
    ASSERT_TRUE(queue.submit(place, item));
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return entered_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;  // guards both
  std::condition_variable changed_;
  bool open_ = true;
  bool entered_ = false;
};

// A journal over one database, with one active watch to be added.
struct Fixture {
  explicit Fixture(std::unique_ptr<store::Database> opened, GroupCommit::Limits limits = {})
      : database(std::move(opened)) {
    EXPECT_TRUE(store::migrate_to_latest(*database));
    commit =
        std::make_unique<GroupCommit>(*database, loop, std::vector<GroupCommit::Applier*>{&journal, &gate}, limits);
    journal.attach(*commit, 0);
  }
  ~Fixture() { gate.open(); }

  void add_watch(WatchId watch, std::string_view status = "active") {
    const auto done = database->run_script(fmt::format(
        "INSERT INTO users VALUES ('{0}', '{0}@b', 'x', 'user', 1) ON CONFLICT (id) DO NOTHING; "
        "INSERT INTO flows VALUES ('{1}', '{0}', 'f', 'active', 1, '{{}}', 1, 1) ON CONFLICT (id) DO NOTHING; "
        "INSERT INTO watches (id, flow_id, user_id, flow_version, node_id, provider, trigger_name, params, token, "
        "secret, state, state_version, status, next_at, error, created_at) "
        "VALUES ('{2}', '{1}', '{0}', 1, 'n', 'github', 'issues', '{{}}', '{2}', '', 'old', 1, '{3}', 5, 'tired', 1)",
        user.to_string(), flow.to_string(), watch.to_string(), status));
    ASSERT_TRUE(done) << done.error().message;
  }

  Ingest ingest(std::vector<std::string> keys, std::string_view body = "{}") {
    Ingest made;
    made.watch = watch;
    made.flow = flow;
    made.flow_version = 3;
    made.user = user;
    made.now = now;
    auto& delivery = made.delivery.emplace();
    delivery.id = DeliveryId::make(now);
    delivery.watch = watch;
    delivery.flow = flow;
    delivery.user = user;
    delivery.received = now;
    delivery.method = "POST";
    delivery.query = "a=b";
    delivery.headers_json = R"({"x":"y"})";
    auto text = std::make_shared<const std::string>(body);
    delivery.body = *text;
    delivery.owner = std::move(text);
    delivery.http_status = 204;
    for (auto& key : keys) made.events.push_back(event(std::move(key)));
    return made;
  }

  EventRecord event(std::string key) const {
    EventRecord made;
    made.id = EventId::make(now);
    made.run = RunId::make(now);
    made.key = std::move(key);
    made.is_body = true;
    made.occurred = now;
    return made;
  }

  // Results arrive in `results`, in the order of the commits.
  void append(Ingest made) {
    auto queued = journal.append(made, [this](Result<Ingest> result) { results.push_back(std::move(result)); });
    ASSERT_TRUE(queued) << queued.error().message;
  }
  void wait_for(std::size_t count) {
    ASSERT_TRUE(loop.run_until([&] { return results.size() >= count; }, kLongEnough));
  }
  Result<Ingest> commit_one(Ingest made) {
    append(std::move(made));
    if (!loop.run_until([&] { return !results.empty(); }, kLongEnough)) return fail(Errc::timeout, "no commit");
    auto result = std::move(results.back());
    results.clear();
    return result;
  }
  // All of them in one batch of the commit thread.
  void commit_together(std::vector<Ingest> all) {
    gate.close(*commit, 1);
    const auto count = all.size();
    for (auto& one : all) append(std::move(one));
    gate.open();
    wait_for(count);
  }

  std::vector<std::string> column(std::string_view sql) {
    std::vector<std::string> list;
    const auto read = database->read([&](Transaction& transaction) -> Result<> {
      auto rows = transaction.execute(sql, {}, [&](const Row& row) { list.emplace_back(row.text(0)); });
      if (!rows) return std::unexpected(rows.error());
      return {};
    });
    EXPECT_TRUE(read) << read.error().message;
    return list;
  }
  std::int64_t count(std::string_view table) {
    return std::stoll(column(fmt::format("SELECT CAST(COUNT(*) AS TEXT) FROM {}", table)).at(0));
  }

  const Timestamp now{std::chrono::seconds{1'700'000'000}};
  const UserId user = UserId::make(now);
  const FlowId flow = FlowId::make(now);
  const WatchId watch = WatchId::make(now);
  std::unique_ptr<store::Database> database;
  Loop loop;
  Journal journal{"host"};
  Gate gate;
  std::vector<Result<Ingest>> results;
  std::unique_ptr<GroupCommit> commit;
};

}  // namespace patchbay::journal
