// What every driver of the Database port does.
#include "store/database.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "contract/places.hpp"

namespace patchbay::store {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

class DatabaseContract : public testing::TestWithParam<test::Adapter> {
 protected:
  void SetUp() override {
    place_ = GetParam().make();
    database_ = place_->open();
    const bool sqlite = database_->dialect() == "sqlite";
    ASSERT_TRUE(database_->run_script(std::string("CREATE TABLE things (id BIGINT PRIMARY KEY, name TEXT, bytes ") +
                                      (sqlite ? "BLOB" : "BYTEA") + ", size DOUBLE PRECISION)"));
  }

  Result<> insert(std::int64_t id, std::string_view name) {
    return database_->write([&](Transaction& transaction) -> Result<> { return insert_in(transaction, id, name); });
  }

  static Result<> insert_in(Transaction& transaction, std::int64_t id, std::string_view name) {
    auto changed = transaction.execute("INSERT INTO things (id, name) VALUES ($1, $2)", {id, name});
    if (!changed) return std::unexpected(changed.error());
    return {};
  }

  std::vector<std::string> names() {
    std::vector<std::string> list;
    auto read = database_->read([&](Transaction& transaction) -> Result<> {
      auto rows = transaction.execute("SELECT name FROM things ORDER BY id", {},
                                      [&](const Row& row) { list.emplace_back(row.text(0)); });
      if (!rows) return std::unexpected(rows.error());
      return {};
    });
    EXPECT_TRUE(read) << read.error().message;
    return list;
  }

  std::unique_ptr<test::Place> place_;
  std::unique_ptr<Database> database_;
};

INSTANTIATE_TEST_SUITE_P(Drivers, DatabaseContract, testing::ValuesIn(test::adapters()),
                         [](const auto& info) { return info.param.name; });

TEST_P(DatabaseContract, KeepsEveryType) {
  const std::string bytes("a\0b\xff\0", 5);
  ASSERT_TRUE(database_->write([&](Transaction& transaction) -> Result<> {
    auto done = transaction.execute(
        "INSERT INTO things (id, name, bytes, size) VALUES ($1, $2, $3, $4)",
        {std::int64_t{-9'000'000'000'000'000'000}, std::string_view("Grüße, 世界 🎛"), Blob{bytes}, 0.5});
    if (!done) return std::unexpected(done.error());
    EXPECT_EQ(*done, 1);
    return {};
  }));
  int rows = 0;
  ASSERT_TRUE(database_->read([&](Transaction& transaction) -> Result<> {
    auto done = transaction.execute("SELECT id, name, bytes, size FROM things", {}, [&](const Row& row) {
      ++rows;
      EXPECT_EQ(row.integer(0), -9'000'000'000'000'000'000);
      EXPECT_EQ(row.text(1), "Grüße, 世界 🎛");
      EXPECT_EQ(row.blob(2), bytes);
      EXPECT_EQ(row.real(3), 0.5);
      EXPECT_FALSE(row.is_null(2));
    });
    if (!done) return std::unexpected(done.error());
    return {};
  }));
  EXPECT_EQ(rows, 1);
}

TEST_P(DatabaseContract, TellsNullFromEmpty) {
  ASSERT_TRUE(database_->write([&](Transaction& transaction) -> Result<> {
    auto done = transaction.execute_many("INSERT INTO things (id, name, bytes) VALUES ($1, $2, $3)", 3,
                                         std::vector<Param>{std::int64_t{1}, nullptr, nullptr,  //
                                                            std::int64_t{2}, std::string_view(), Blob{}});
    if (!done) return std::unexpected(done.error());
    return {};
  }));
  std::vector<bool> nulls;
  ASSERT_TRUE(database_->read([&](Transaction& transaction) -> Result<> {
    auto done = transaction.execute("SELECT name, bytes FROM things ORDER BY id", {}, [&](const Row& row) {
      nulls.push_back(row.is_null(0));
      nulls.push_back(row.is_null(1));
      EXPECT_EQ(row.text(0), "");
      EXPECT_EQ(row.blob(1), "");
      EXPECT_EQ(row.integer(0), 0);
    });
    if (!done) return std::unexpected(done.error());
    return {};
  }));
  EXPECT_THAT(nulls, ElementsAre(true, true, false, false));
}

TEST_P(DatabaseContract, TakesParametersByTheirNumber) {
  ASSERT_TRUE(insert(1, "one"));
  ASSERT_TRUE(insert(2, "two"));
  ASSERT_TRUE(database_->write([&](Transaction& transaction) -> Result<> {
    auto done = transaction.execute("UPDATE things SET name = $2 || $3 || $2 WHERE id = $1",
                                    {std::int64_t{2}, std::string_view("a"), std::string_view("b")});
    if (!done) return std::unexpected(done.error());
    EXPECT_EQ(*done, 1);
    return {};
  }));
  EXPECT_THAT(names(), ElementsAre("one", "aba"));
}

TEST_P(DatabaseContract, RefusesTheWrongNumberOfParameters) {
  const auto done = database_->write([&](Transaction& transaction) -> Result<> {
    auto changed = transaction.execute("INSERT INTO things (id, name) VALUES ($1, $2)", {std::int64_t{1}});
    if (!changed) return std::unexpected(changed.error());
    return {};
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errc::internal);
  EXPECT_TRUE(names().empty());
}

TEST_P(DatabaseContract, ReturnsTheRowsOfAnInsert) {
  std::vector<std::int64_t> returned;
  ASSERT_TRUE(insert(2, "known"));
  ASSERT_TRUE(database_->write([&](Transaction& transaction) -> Result<> {
    returned.clear();
    auto done = transaction.execute_many(
        "INSERT INTO things (id, name) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING RETURNING id", 2,
        std::vector<Param>{std::int64_t{1}, std::string_view("new"), std::int64_t{2}, std::string_view("again"),
                           std::int64_t{3}, std::string_view("new"), std::int64_t{3}, std::string_view("twice")},
        [&](const Row& row) { returned.push_back(row.integer(0)); });
    if (!done) return std::unexpected(done.error());
    EXPECT_EQ(*done, 2);
    return {};
  }));
  EXPECT_THAT(returned, UnorderedElementsAre(1, 3));
  EXPECT_THAT(names(), ElementsAre("new", "known", "new"));
}

TEST_P(DatabaseContract, UpdatesOnConflict) {
  for (const std::string_view name : {"first", "second"}) {
    ASSERT_TRUE(database_->write([&](Transaction& transaction) -> Result<> {
      auto done = transaction.execute(
          "INSERT INTO things (id, name) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET name = excluded.name",
          {std::int64_t{1}, name});
      if (!done) return std::unexpected(done.error());
      EXPECT_EQ(*done, 1);
      return {};
    }));
  }
  EXPECT_THAT(names(), ElementsAre("second"));
}

TEST_P(DatabaseContract, CountsNoRowsWhereNothingChanged) {
  ASSERT_TRUE(insert(1, "one"));
  ASSERT_TRUE(database_->write([&](Transaction& transaction) -> Result<> {
    auto updated = transaction.execute("UPDATE things SET name = 'x' WHERE id = $1", {std::int64_t{7}});
    EXPECT_EQ(updated.value_or(-1), 0);
    EXPECT_EQ(transaction.execute_many("DELETE FROM things WHERE id = $1", 1, {}).value_or(-1), 0);
    return {};
  }));
  EXPECT_THAT(names(), ElementsAre("one"));
}

TEST_P(DatabaseContract, RollsBackWhatFails) {
  const auto done = database_->write([&](Transaction& transaction) -> Result<> {
    EXPECT_TRUE(insert_in(transaction, 1, "gone"));
    return fail(Errc::denied, "changed its mind");
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errc::denied);
  EXPECT_TRUE(names().empty());
  EXPECT_TRUE(insert(1, "stays"));
  EXPECT_THAT(names(), ElementsAre("stays"));
}

TEST_P(DatabaseContract, RollsBackWhenWorkThrows) {
  EXPECT_THROW((void)database_->write([&](Transaction& transaction) -> Result<> {
    (void)insert_in(transaction, 1, "gone");
    throw std::runtime_error("out of the library");
  }),
               std::runtime_error);
  EXPECT_TRUE(insert(1, "stays"));
  EXPECT_THAT(names(), ElementsAre("stays"));
}

TEST_P(DatabaseContract, CannotCommitAfterAFailedStatement) {
  ASSERT_TRUE(insert(1, "one"));
  const auto done = database_->write([&](Transaction& transaction) -> Result<> {
    EXPECT_TRUE(insert_in(transaction, 2, "two"));
    const auto twice = insert_in(transaction, 1, "again");
    EXPECT_EQ(twice.error().code, Errc::conflict);
    EXPECT_FALSE(insert_in(transaction, 3, "three"));
    return {};  // as if nothing had been
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errc::conflict);
  EXPECT_THAT(names(), ElementsAre("one"));
}

TEST_P(DatabaseContract, NamesTheErrorOfWrongSql) {
  const auto done = database_->write([](Transaction& transaction) -> Result<> {
    auto changed = transaction.execute("INSERT INTO nowhere VALUES (1)", {});
    if (!changed) return std::unexpected(changed.error());
    return {};
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errc::internal);
  EXPECT_THAT(done.error().message, testing::HasSubstr("nowhere"));
}

TEST_P(DatabaseContract, RefusesAWriteInsideAWrite) {
  Result<> inner;
  EXPECT_TRUE(database_->write([&](Transaction&) -> Result<> {
    inner = insert(1, "inner");
    return {};
  }));
  ASSERT_FALSE(inner);
  EXPECT_EQ(inner.error().code, Errc::internal);
}

TEST_P(DatabaseContract, RunsAStatementWhileItsOwnRowsAreRead) {
  ASSERT_TRUE(insert(1, "a"));
  ASSERT_TRUE(insert(2, "b"));
  std::string seen;
  ASSERT_TRUE(database_->read([&](Transaction& transaction) -> Result<> {
    seen.clear();
    static constexpr std::string_view kSql = "SELECT id, name FROM things WHERE id >= $1 ORDER BY id";
    auto rows = transaction.execute(kSql, {std::int64_t{1}}, [&](const Row& outer) {
      seen += outer.text(1);
      EXPECT_TRUE(transaction.execute(kSql, {outer.integer(0)}, [&](const Row& inner) { seen += inner.text(1); }));
    });
    if (!rows) return std::unexpected(rows.error());
    return {};
  }));
  EXPECT_EQ(seen, "aabbb");
}

TEST_P(DatabaseContract, UsesAStatementAgainWithOtherParameters) {
  for (int id = 0; id < 50; ++id) ASSERT_TRUE(insert(id, "n" + std::to_string(id)));
  const auto all = names();
  ASSERT_EQ(all.size(), 50U);
  EXPECT_EQ(all[49], "n49");
}

TEST_P(DatabaseContract, TakesSqlThatChangesInItsPlace) {
  std::string sql = "INSERT INTO things (id, name) VALUES (1, 'a')";
  const auto run = [&] {
    return database_->write([&](Transaction& transaction) -> Result<> {
      auto done = transaction.execute(sql, {});
      if (!done) return std::unexpected(done.error());
      return {};
    });
  };
  ASSERT_TRUE(run());
  sql.replace(sql.find("(1, 'a')"), 8, "(2, 'b')");
  ASSERT_TRUE(run());
  EXPECT_THAT(names(), ElementsAre("a", "b"));
}

TEST_P(DatabaseContract, ShowsOthersOnlyWhatIsCommitted) {
  ASSERT_TRUE(insert(1, "one"));
  std::vector<std::string> during;
  ASSERT_TRUE(database_->write([&](Transaction& transaction) -> Result<> {
    auto inserted = insert_in(transaction, 2, "two");
    std::thread([&] { during = names(); }).join();
    return inserted;
  }));
  EXPECT_THAT(during, ElementsAre("one"));
  EXPECT_THAT(names(), ElementsAre("one", "two"));
}

TEST_P(DatabaseContract, ReadsOneSnapshot) {
  ASSERT_TRUE(insert(1, "one"));
  const auto count = [](Transaction& transaction) {
    std::int64_t rows = -1;
    EXPECT_TRUE(transaction.execute("SELECT COUNT(*) FROM things", {}, [&](const Row& r) { rows = r.integer(0); }));
    return rows;
  };
  ASSERT_TRUE(database_->read([&](Transaction& transaction) -> Result<> {
    EXPECT_EQ(count(transaction), 1);
    std::thread([&] { EXPECT_TRUE(insert(2, "two")); }).join();
    EXPECT_EQ(count(transaction), 1);
    return {};
  }));
  EXPECT_EQ(names().size(), 2U);
}

TEST_P(DatabaseContract, OnlyReadsInARead) {
  const auto done =
      database_->read([&](Transaction& transaction) -> Result<> { return insert_in(transaction, 1, "smuggled"); });
  EXPECT_FALSE(done);
  EXPECT_TRUE(names().empty());
}

TEST_P(DatabaseContract, WritesFromManyThreads) {
  ASSERT_TRUE(insert(0, "0"));
  constexpr int kThreads = 16;
  constexpr int kEach = 20;
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kEach; ++n) {
        auto done = database_->write([](Transaction& transaction) -> Result<> {
          std::int64_t value = 0;
          auto read = transaction.execute("SELECT name FROM things WHERE id = 0", {},
                                          [&](const Row& row) { value = std::stoll(std::string(row.text(0))); });
          if (!read) return std::unexpected(read.error());
          const auto next = std::to_string(value + 1);
          auto changed = transaction.execute("UPDATE things SET name = $1 WHERE id = 0", {std::string_view(next)});
          if (!changed) return std::unexpected(changed.error());
          return {};
        });
        if (!done) ++failed;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_THAT(names(), ElementsAre(std::to_string(kThreads * kEach)));
}

TEST_P(DatabaseContract, ReadsFromMoreThreadsThanItHasReaders) {
  ASSERT_TRUE(insert(1, "one"));
  std::atomic<int> seen = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 12; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 20; ++n) seen += static_cast<int>(names().size());
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(seen, 240);
}

TEST_P(DatabaseContract, KeepsWhatWasCommittedWhenOpenedAgain) {
  ASSERT_TRUE(insert(1, "one"));
  database_.reset();
  database_ = place_->open();
  EXPECT_THAT(names(), ElementsAre("one"));
}

TEST_P(DatabaseContract, RollsAFailedScriptBack) {
  EXPECT_FALSE(
      database_->run_script("BEGIN; INSERT INTO things (id, name) VALUES (1, 'x'); INSERT INTO nowhere "
                            "VALUES (1); COMMIT;"));
  EXPECT_TRUE(names().empty());
  EXPECT_TRUE(insert(1, "one"));
}

template <class Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 500 && !condition(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds{10});
  return condition();
}

TEST_P(DatabaseContract, AHostHasItsPlaceUntilItGoes) {
  auto host = store::open(place_->url(), {.place = "a"});
  ASSERT_TRUE(host) << host.error().message;
  EXPECT_FALSE(*database_->is_held("nobody"));
  auto second = store::open(place_->url(), {.place = "b"});
  ASSERT_EQ(second.has_value(), database_->is_shared());
  if (second) {
    EXPECT_TRUE(*database_->is_held("a"));
    EXPECT_TRUE(*database_->is_held("b"));
    second->reset();
    EXPECT_TRUE(eventually([&] { return !*database_->is_held("b"); }));
  } else {
    EXPECT_EQ(second.error().code, Errc::conflict);
    EXPECT_THAT(second.error().message, testing::HasSubstr("another host works on"));
  }
  EXPECT_TRUE(insert(1, "the command line may"));
  host->reset();
  EXPECT_TRUE(store::open(place_->url(), {.place = "c"}));
}

TEST_P(DatabaseContract, AnAnnouncementIsHeardByOtherHostsAfterTheCommit) {
  std::atomic<int> heard = 0;
  auto host = store::open(place_->url(), {.place = "a", .on_announcement = [&heard] { ++heard; }});
  ASSERT_TRUE(host) << host.error().message;
  const auto refused = database_->write([](Transaction& transaction) -> Result<> {
    if (auto announced = transaction.announce(); !announced) return announced;
    return fail(Errc::invalid, "no");
  });
  EXPECT_FALSE(refused);
  ASSERT_TRUE(database_->write([](Transaction& transaction) { return transaction.announce(); }));
  EXPECT_TRUE(eventually([&] { return heard == 1; }) == database_->is_shared());
  EXPECT_LE(heard, 1);
}

TEST_P(DatabaseContract, SkipsWhatIsForTheOtherDatabase) {
  ASSERT_TRUE(insert(1, "one"));
  int rows = 0;
  ASSERT_TRUE(database_->write([&](Transaction& transaction) -> Result<> {
    auto done = transaction.execute("SELECT id FROM things ORDER BY id /*postgresql: FOR UPDATE SKIP LOCKED*/", {}, [&](const Row&) { ++rows; });
    if (!done) return std::unexpected(done.error());
    return {};
  }));
  EXPECT_EQ(rows, 1);
}

TEST(OpenDatabase, RefusesWhatItCannotOpen) {
  EXPECT_EQ(open("mysql://root:secret@db/x").error().code, Errc::invalid);
  EXPECT_THAT(open("mysql://root:secret@db/x").error().message, testing::Not(testing::HasSubstr("secret")));
  EXPECT_EQ(open("sqlite:").error().code, Errc::invalid);
  EXPECT_EQ(open("sqlite:/nowhere/at/all/x.db").error().code, Errc::unavailable);
  EXPECT_EQ(open("sqlite:/").error().code, Errc::unavailable);
  const auto nobody = open("postgresql://patchbay:secret@127.0.0.1:1/x");
  EXPECT_EQ(nobody.error().code, Errc::unavailable);
  EXPECT_THAT(nobody.error().message, testing::Not(testing::HasSubstr("secret")));
  for (const auto* url : {"postgresql://me:secret%zz@h/x", "postgresql://me:secret@[::1/x", "postgresql://me:secret@h/x?nothing=1"}) {
    const auto unread = open(url);
    EXPECT_EQ(unread.error().code, Errc::invalid) << url;
    EXPECT_THAT(unread.error().message, testing::Not(testing::HasSubstr("secret")));
  }
}

}  // namespace
}  // namespace patchbay::store
