// What only PostgreSQL does: connections break, servers restart, and other processes work on the same rows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "store/database.hpp"
#include "support/postgresql_server.hpp"

namespace patchbay::store {
namespace {

using support::PostgresqlServer;

class PostgresqlDriver : public testing::Test {
 protected:
  PostgresqlDriver() : url_(PostgresqlServer::shared().make_database()), database_(open(url_).value()) {
    EXPECT_TRUE(database_->run_script("CREATE TABLE things (id BIGINT PRIMARY KEY, count BIGINT NOT NULL)"));
  }
  ~PostgresqlDriver() override { PostgresqlServer::shared().drop_database(url_); }

  static Result<> run(Transaction& transaction, std::string_view sql, std::initializer_list<Param> params = {}, const OnRow& on_row = {}) {
    auto done = transaction.execute(sql, params, on_row);
    if (!done) return std::unexpected(done.error());
    return {};
  }
  Result<> insert(std::int64_t id) {
    return database_->write([id](Transaction& transaction) { return run(transaction, "INSERT INTO things (id, count) VALUES ($1, 0)", {id}); });
  }
  std::int64_t number(std::string_view sql) {
    std::int64_t value = -1;
    const auto read = database_->read([&](Transaction& transaction) { return run(transaction, sql, {}, [&](const Row& row) { value = row.integer(0); }); });
    EXPECT_TRUE(read) << read.error().message;
    return value;
  }
  // Ends every connection to the database but its own.
  void cut() {
    PostgresqlServer::shared().run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '" +
                                   url_.substr(url_.rfind('/') + 1) + "'");
  }

  std::string url_;
  std::unique_ptr<Database> database_;
};

TEST_F(PostgresqlDriver, ConnectionsThatWereCutAreReplaced) {
  ASSERT_TRUE(insert(1));
  EXPECT_EQ(number("SELECT COUNT(*) FROM things"), 1);
  cut();
  EXPECT_EQ(number("SELECT COUNT(*) FROM things"), 1);
  EXPECT_TRUE(insert(2));
  cut();
  const auto script = database_->run_script("SELECT 1");
  ASSERT_FALSE(script) << "a script is not run twice";
  EXPECT_EQ(script.error().code, Errc::unavailable);
  EXPECT_TRUE(database_->run_script("SELECT 1"));
}

TEST_F(PostgresqlDriver, ATransactionThatIsCutBeforeItsCommitIsRunAgain) {
  int tries = 0;
  const auto done = database_->write([&](Transaction& transaction) -> Result<> {
    if (auto inserted = run(transaction, "INSERT INTO things (id, count) VALUES (1, 0)"); !inserted) return inserted;
    if (++tries == 1) cut();
    return run(transaction, "UPDATE things SET count = count + 1");
  });
  EXPECT_TRUE(done) << done.error().message;
  EXPECT_EQ(tries, 2);
  EXPECT_EQ(number("SELECT SUM(count) FROM things"), 1);
}

TEST_F(PostgresqlDriver, ATransactionThatIsCutAtItsCommitIsNotRunAgain) {
  int tries = 0;
  const auto done = database_->write([&](Transaction& transaction) -> Result<> {
    ++tries;
    auto inserted = run(transaction, "INSERT INTO things (id, count) VALUES (1, 0)");
    cut();
    return inserted;
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errc::unavailable);
  EXPECT_THAT(done.error().message, testing::HasSubstr("not known"));
  EXPECT_EQ(tries, 1);
  EXPECT_EQ(number("SELECT COUNT(*) FROM things"), 0);
}

TEST_F(PostgresqlDriver, AServerThatIsAwayIsSaidAndFoundAgain) {
  PostgresqlServer server;
  const auto database = open(server.url("postgres")).value();
  const auto one = [&] { return database->read([](Transaction& transaction) { return run(transaction, "SELECT 1"); }); };
  EXPECT_TRUE(one());
  server.stop(SIGQUIT);
  const auto away = one();
  ASSERT_FALSE(away);
  EXPECT_EQ(away.error().code, Errc::unavailable);
  server.start();
  EXPECT_TRUE(one());
}

// As two processes do it.
TEST_F(PostgresqlDriver, TwoThatAreInEachOthersWayBothSucceed) {
  ASSERT_TRUE(insert(1));
  const auto other = open(url_).value();
  constexpr int kEach = 100;
  std::atomic<int> failed = 0;
  const auto count = [&](Database& database) {
    for (int i = 0; i < kEach; ++i) {
      const auto done = database.write([](Transaction& transaction) -> Result<> {
        std::int64_t value = 0;
        if (auto read = run(transaction, "SELECT count FROM things WHERE id = 1", {}, [&](const Row& row) { value = row.integer(0); }); !read) return read;
        return run(transaction, "UPDATE things SET count = $1 WHERE id = 1", {value + 1});
      });
      if (!done) ++failed;
    }
  };
  std::thread beside([&] { count(*other); });
  count(*database_);
  beside.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(number("SELECT count FROM things"), 2 * kEach);
}

TEST_F(PostgresqlDriver, ABatchMayBeLarge) {
  std::vector<Param> ids;
  for (std::int64_t id = 0; id < 2'345; ++id) ids.emplace_back(id);
  std::int64_t returned = 0;
  ASSERT_TRUE(database_->write([&](Transaction& transaction) -> Result<> {
    returned = 0;
    const auto changed = transaction.execute_many("INSERT INTO things (id, count) VALUES ($1, 2) RETURNING id", 1, ids, [&](const Row&) { ++returned; });
    EXPECT_EQ(changed.value_or(-1), 2'345);
    return {};
  }));
  EXPECT_EQ(returned, 2'345);
  EXPECT_EQ(number("SELECT SUM(count) FROM things"), 4'690);
  EXPECT_EQ(number("SELECT -SUM(id * 1000000) FROM things"), -2'748'340'000'000);
}

TEST_F(PostgresqlDriver, StatementsAreForgottenBeforeThereAreTooMany) {
  for (int i = 0; i < 1'000; ++i) ASSERT_EQ(number("SELECT " + std::to_string(i)), i);
  EXPECT_LE(number("SELECT COUNT(*) FROM pg_prepared_statements"), 400);
}

TEST_F(PostgresqlDriver, ADatabaseThatIsNotUtf8IsRefused) {
  PostgresqlServer::shared().run("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
  const auto opened = open(PostgresqlServer::shared().url("latin"));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::invalid);
  EXPECT_THAT(opened.error().message, testing::HasSubstr("LATIN1"));
  PostgresqlServer::shared().drop_database(PostgresqlServer::shared().url("latin"));
}

}  // namespace
}  // namespace patchbay::store
