// What is SQLite's alone: the file, the log behind the gathering VFS, the full disk, other processes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "store/database.hpp"

namespace patchbay::store {
namespace {

class SqliteTest : public testing::Test {
 protected:
  void SetUp() override {
    auto pattern = (std::filesystem::temp_directory_path() / "patchbay-sqlite-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    database_ = open_file();
    ASSERT_TRUE(database_->run_script("CREATE TABLE blocks (id INTEGER PRIMARY KEY, bytes BLOB, mark TEXT)"));
  }
  void TearDown() override {
    database_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::filesystem::path file() const { return folder_ / "patchbay.db"; }
  std::filesystem::path log() const { return folder_ / "patchbay.db-wal"; }
  std::unique_ptr<Database> open_file(std::int64_t busy_timeout_ms = 5000) {
    auto opened = open("sqlite:" + file().string(), {.readers = 2, .busy_timeout_ms = busy_timeout_ms});
    EXPECT_TRUE(opened) << opened.error().message;
    return *std::move(opened);
  }

  static Result<> insert(Transaction& transaction, std::int64_t first, int count, std::size_t size) {
    for (int i = 0; i < count; ++i) {
      const std::string bytes(size, static_cast<char>('a' + (first + i) % 26));
      auto done =
          transaction.execute("INSERT INTO blocks (id, bytes, mark) VALUES ($1, $2, 'new')", {first + i, Blob{bytes}});
      if (!done) return std::unexpected(done.error());
    }
    return {};
  }
  Result<> write(std::int64_t first, int count, std::size_t size) {
    return database_->write([&](Transaction& transaction) { return insert(transaction, first, count, size); });
  }
  static std::string text(Database& database, std::string_view sql) {
    std::string result;
    const auto read = database.read([&](Transaction& transaction) -> Result<> {
      auto rows = transaction.execute(sql, {}, [&](const Row& row) { result = row.text(0); });
      if (!rows) return std::unexpected(rows.error());
      return {};
    });
    EXPECT_TRUE(read) << read.error().message;
    return result;
  }
  static int wrong_blocks(Transaction& transaction) {
    int wrong = 0;
    EXPECT_TRUE(transaction.execute("SELECT id, bytes FROM blocks", {}, [&](const Row& row) {
      const char expected = static_cast<char>('a' + row.integer(0) % 26);
      if (row.blob(1).find_first_not_of(expected) != std::string_view::npos) ++wrong;
    }));
    return wrong;
  }

  std::filesystem::path folder_;
  std::unique_ptr<Database> database_;
};

// Files may not grow beyond a size, which the kernel answers as it answers a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(std::uintmax_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    auto limit = before_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  sighandler_t handler_;
  rlimit before_{};
};

TEST_F(SqliteTest, MakesAFileThatOthersCannotRead) {
  ASSERT_TRUE(write(1, 1, 10));
  struct stat status {};
  for (const auto& path : {file(), log()}) {
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U) << path;
  }
}

TEST_F(SqliteTest, IsDurableAndChecksForeignKeys) {
  std::string settings;
  ASSERT_TRUE(database_->write([&](Transaction& transaction) -> Result<> {
    settings.clear();
    for (const std::string_view sql : {"PRAGMA journal_mode", "PRAGMA synchronous", "PRAGMA foreign_keys"}) {
      auto done = transaction.execute(sql, {}, [&](const Row& row) { settings.append(row.text(0)) += ' '; });
      if (!done) return std::unexpected(done.error());
    }
    return {};
  }));
  EXPECT_EQ(settings, "wal 2 1 ");  // 2: FULL
}

// Far more than the cache holds: SQLite writes pages to the log before the commit, and reads and overwrites them there.
TEST_F(SqliteTest, WritesATransactionLargerThanItsMemory) {
  ASSERT_TRUE(database_->write([&](Transaction& transaction) -> Result<> {
    if (auto done = insert(transaction, 0, 1500, 12'000); !done) return done;
    EXPECT_EQ(wrong_blocks(transaction), 0);
    auto marked = transaction.execute("UPDATE blocks SET mark = 'seen' WHERE id % 3 = 0", {});
    if (!marked) return std::unexpected(marked.error());
    EXPECT_EQ(*marked, 500);
    EXPECT_EQ(text(*database_, "SELECT COUNT(*) FROM blocks"), "0") << "others see nothing of it yet";
    return {};
  }));
  EXPECT_EQ(text(*database_, "SELECT COUNT(*) FROM blocks WHERE mark = 'seen'"), "500");
  const auto other = open_file();
  EXPECT_EQ(text(*other, "PRAGMA integrity_check"), "ok");
  EXPECT_TRUE(other->read([&](Transaction& transaction) -> Result<> {
    EXPECT_EQ(wrong_blocks(transaction), 0);
    return {};
  }));
}

TEST_F(SqliteTest, RollsALargeTransactionBack) {
  ASSERT_TRUE(write(0, 10, 100));
  EXPECT_FALSE(database_->write([&](Transaction& transaction) -> Result<> {
    if (auto done = insert(transaction, 100, 1500, 12'000); !done) return done;
    return fail(Errc::denied, "changed its mind");
  }));
  EXPECT_EQ(text(*database_, "SELECT COUNT(*) FROM blocks"), "10");
  ASSERT_TRUE(write(100, 10, 100));
  EXPECT_EQ(text(*database_, "PRAGMA integrity_check"), "ok");
}

// What the given-up transaction had written to the log must not come down on what another process writes there.
TEST_F(SqliteTest, LeavesTheLogToOthersAfterATransactionWasGivenUp) {
  const auto other = open_file();
  for (int round = 0; round < 5; ++round) {
    EXPECT_FALSE(database_->write([&](Transaction& transaction) -> Result<> {
      if (auto done = insert(transaction, 100'000, 700 + round, 12'000); !done) return done;
      return fail(Errc::denied, "changed its mind");
    }));
    ASSERT_TRUE(
        other->write([&](Transaction& transaction) { return insert(transaction, 1000 * round, 700 + round, 12'000); }));
    ASSERT_TRUE(write(1000 * round + 900, 1, 12'000));
  }
  EXPECT_EQ(text(*other, "SELECT COUNT(*) FROM blocks"), "3515");
  EXPECT_EQ(text(*other, "PRAGMA integrity_check"), "ok");
  EXPECT_TRUE(other->read([&](Transaction& transaction) -> Result<> {
    EXPECT_EQ(wrong_blocks(transaction), 0);
    return {};
  }));
}

TEST_F(SqliteTest, StaysWholeOverManyCheckpoints) {
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0;
  std::thread reader([&] {
    const auto other = open_file();
    while (!stop) {
      (void)other->read([&](Transaction& transaction) -> Result<> {
        wrong += wrong_blocks(transaction);
        return {};
      });
    }
  });
  for (int i = 0; i < 60; ++i) {
    ASSERT_TRUE(write(i * 20, 20, 40'000));
    ASSERT_TRUE(database_->write([&](Transaction& transaction) -> Result<> {
      auto done = transaction.execute("DELETE FROM blocks WHERE id < $1", {std::int64_t{(i - 2) * 20}});
      if (!done) return std::unexpected(done.error());
      return {};
    }));
  }
  stop = true;
  reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(text(*database_, "SELECT COUNT(*) FROM blocks"), "60");
  EXPECT_EQ(text(*database_, "PRAGMA integrity_check"), "ok");
}

TEST_F(SqliteTest, SaysThatTheDiskIsFullAndGoesOnWhenItIsNot) {
  ASSERT_TRUE(write(0, 10, 12'000));
  {
    const FileSizeLimit limit(std::filesystem::file_size(log()) + 20'000);
    const auto done = write(100, 50, 12'000);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, Errc::exhausted);
    EXPECT_THAT(done.error().message, testing::HasSubstr("the disk is full"));
    EXPECT_EQ(text(*database_, "SELECT COUNT(*) FROM blocks"), "10");
  }
  const auto done = write(100, 50, 12'000);
  ASSERT_TRUE(done) << done.error().message;
  const auto other = open_file();
  EXPECT_EQ(text(*other, "SELECT COUNT(*) FROM blocks"), "60");
  EXPECT_EQ(text(*other, "PRAGMA integrity_check"), "ok");
}

TEST_F(SqliteTest, SaysThatItsPagesAreUsedUp) {
  ASSERT_TRUE(database_->run_script("PRAGMA max_page_count = 20"));
  EXPECT_EQ(write(0, 50, 12'000).error().code, Errc::exhausted);
  ASSERT_TRUE(database_->run_script("PRAGMA max_page_count = 100000"));
  EXPECT_TRUE(write(0, 50, 12'000));
}

TEST_F(SqliteTest, WaitsForAnotherProcessAndThenGivesUp) {
  const auto other = open_file(1);
  Result<> blocked;
  ASSERT_TRUE(database_->write([&](Transaction& transaction) -> Result<> {
    blocked = other->run_script("INSERT INTO blocks (id) VALUES (1)");
    Result<> written = other->write([](Transaction& inner) { return insert(inner, 2, 1, 1); });
    EXPECT_EQ(written.error().code, Errc::unavailable);
    return insert(transaction, 3, 1, 1);
  }));
  ASSERT_FALSE(blocked);
  EXPECT_EQ(blocked.error().code, Errc::unavailable);
  EXPECT_TRUE(other->write([](Transaction& inner) { return insert(inner, 2, 1, 1); }));
  EXPECT_EQ(text(*database_, "SELECT COUNT(*) FROM blocks"), "2");
}

TEST_F(SqliteTest, RefusesAFileThatIsNoDatabase) {
  const auto path = folder_ / "letter.txt";
  if (auto* letter = std::fopen(path.c_str(), "w"); letter != nullptr) {
    std::fputs(std::string(5000, 'x').c_str(), letter);
    std::fclose(letter);
  }
  const auto opened = open("sqlite:" + path.string());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::unavailable);
  EXPECT_THAT(opened.error().message, testing::HasSubstr("letter.txt"));
}

TEST_F(SqliteTest, TakesOnlyNumberedParameters) {
  for (const std::string_view sql : {"SELECT ?", "SELECT :name", "SELECT $x1"}) {
    const auto done = database_->read([&](Transaction& transaction) -> Result<> {
      auto rows = transaction.execute(sql, {std::int64_t{1}});
      if (!rows) return std::unexpected(rows.error());
      return {};
    });
    ASSERT_FALSE(done) << sql;
    EXPECT_EQ(done.error().code, Errc::internal);
  }
}

TEST_F(SqliteTest, RunsOneStatementOnly) {
  const auto done = database_->write([&](Transaction& transaction) -> Result<> {
    auto rows = transaction.execute("DELETE FROM blocks; DROP TABLE blocks", {});
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(text(*database_, "SELECT COUNT(*) FROM blocks"), "0");
}

TEST(SqliteMemory, IsSharedByTheConnectionsOfOneDatabaseAndGoesWithIt) {
  std::string path;
  {
    auto one = *open("sqlite::memory:");
    const auto two = *open("sqlite::memory:");
    ASSERT_TRUE(one->run_script("CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (7)"));
    std::int64_t seen = 0;
    const auto look = [&](Transaction& transaction) -> Result<> {
      auto rows = transaction.execute("SELECT a FROM t", {}, [&](const Row& row) { seen = row.integer(0); });
      if (!rows) return std::unexpected(rows.error());
      return {};
    };
    EXPECT_TRUE(one->read(look));
    EXPECT_EQ(seen, 7);
    EXPECT_FALSE(two->read(look)) << "another Database is another database";
    ASSERT_TRUE(one->read([&](Transaction& transaction) -> Result<> {
      auto rows = transaction.execute("PRAGMA database_list", {}, [&](const Row& row) { path = row.text(2); });
      if (!rows) return std::unexpected(rows.error());
      return {};
    }));
    EXPECT_TRUE(std::filesystem::exists(path));
  }
  for (const auto* suffix : {"", "-wal", "-shm"}) EXPECT_FALSE(std::filesystem::exists(path + suffix));
}

}  // namespace
}  // namespace patchbay::store
