#include "store/sqlite/database.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "store/sqlite/connection.hpp"

namespace patchbay::store::sqlite {
namespace {

// A transaction waits busy_timeout for another process's, so this many are tens of seconds.
constexpr int kMostTries = 4;

// One try of a transaction. After a failed statement every other one fails too, and so does the transaction, as in
// PostgreSQL: work that ignores an error cannot commit half of what it wanted.
class Attempt final : public Transaction {
 public:
  explicit Attempt(Connection& connection) : connection_(connection) {}

  Result<std::int64_t> execute(std::string_view sql, std::span<const Param> params, const OnRow& on_row) override {
    return run(sql, params.size(), params, on_row);
  }
  Result<std::int64_t> execute_many(std::string_view sql, std::size_t columns, std::span<const Param> params,
                                    const OnRow& on_row) override {
    if (params.empty()) return 0;
    return run(sql, columns, params, on_row);
  }

  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] bool may_retry() const { return may_retry_; }

 private:
  Result<std::int64_t> run(std::string_view sql, std::size_t columns, std::span<const Param> params,
                           const OnRow& on_row) {
    if (error_) return std::unexpected(*error_);
    auto result = connection_.run(sql, columns, params, on_row, may_retry_);
    if (!result) error_ = result.error();
    return result;
  }

  Connection& connection_;
  std::optional<Error> error_;
  bool may_retry_ = false;
};

// Leaves no transaction open, however its scope is left.
class RollBackGuard {
 public:
  explicit RollBackGuard(Connection& connection) : connection_(connection) {}
  ~RollBackGuard() { connection_.roll_back(); }
  RollBackGuard(const RollBackGuard&) = delete;
  RollBackGuard& operator=(const RollBackGuard&) = delete;

 private:
  Connection& connection_;
};

Result<> run_once(Connection& connection, std::string_view begin, const Work& work, bool& retry) {
  if (auto begun = connection.control(begin, retry); !begun) return begun;
  const RollBackGuard guard(connection);
  Attempt attempt(connection);
  auto done = work(attempt);
  if (attempt.error()) {
    retry = attempt.may_retry();
    return std::unexpected(done ? *attempt.error() : done.error());
  }
  if (!done) return done;
  return connection.control("COMMIT", retry);
}

Result<> run_transaction(Connection& connection, std::string_view begin, const Work& work) {
  for (int tries = 1;; ++tries) {
    bool retry = false;
    auto done = run_once(connection, begin, work, retry);
    if (done || !retry || tries == kMostTries) return done;
  }
}

class SqliteDatabase final : public Database {
 public:
  SqliteDatabase(Settings settings, bool temporary, int most_readers, std::unique_ptr<Connection> writer)
      : settings_(std::move(settings)),
        temporary_(temporary),
        most_readers_(std::max(most_readers, 1)),
        writer_(std::move(writer)) {}

  ~SqliteDatabase() override {
    idle_.clear();
    writer_.reset();
    if (!temporary_) return;
    std::error_code ignored;
    for (const auto* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(settings_.path + suffix, ignored);
  }

  Result<> write(const Work& work) override {
    const auto lock = lock_writer();
    if (!lock) return std::unexpected(lock.error());
    return run_transaction(*writer_, "BEGIN IMMEDIATE", work);
  }

  Result<> read(const Work& work) override {
    auto reader = borrow();
    if (!reader) return std::unexpected(reader.error());
    // The first statement takes the snapshot, and there is nothing to commit or roll back when one stands alone.
    return run_transaction(**reader, "BEGIN", work);
  }

  Result<> run_script(std::string_view sql) override {
    const auto lock = lock_writer();
    if (!lock) return std::unexpected(lock.error());
    return writer_->run_script(sql);
  }

  std::string_view dialect() const override { return "sqlite"; }

 private:
  // Gives the connection back to the pool.
  struct Return {
    SqliteDatabase* database;
    void operator()(Connection* connection) const { database->give_back(connection); }
  };
  using Borrowed = std::unique_ptr<Connection, Return>;

  struct WriterLock {
    std::unique_lock<std::mutex> lock;
    std::atomic<std::thread::id>* owner;
    WriterLock(std::mutex& mutex, std::atomic<std::thread::id>& holder) : lock(mutex), owner(&holder) {
      owner->store(std::this_thread::get_id(), std::memory_order_relaxed);
    }
    WriterLock(WriterLock&& other) noexcept : lock(std::move(other.lock)), owner(std::exchange(other.owner, nullptr)) {}
    ~WriterLock() {
      if (owner != nullptr) owner->store({}, std::memory_order_relaxed);
    }
  };

  // A transaction inside a transaction would wait for itself for ever.
  Result<WriterLock> lock_writer() {
    if (writing_.load(std::memory_order_relaxed) == std::this_thread::get_id()) {
      return fail(Errc::internal, "a write transaction was asked for inside another one");
    }
    return WriterLock(writer_mutex_, writing_);
  }

  Result<Borrowed> borrow() {
    std::unique_lock lock(readers_mutex_);
    reader_free_.wait(lock, [this] { return !idle_.empty() || open_readers_ < most_readers_; });
    if (!idle_.empty()) {
      Borrowed reader(idle_.back().release(), Return{this});
      idle_.pop_back();
      return reader;
    }
    ++open_readers_;
    lock.unlock();
    auto opened = Connection::create(settings_, Mode::read);
    if (opened) return Borrowed(opened->release(), Return{this});
    lock.lock();
    --open_readers_;
    reader_free_.notify_one();
    return std::unexpected(opened.error());
  }

  void give_back(Connection* connection) {
    {
      const std::lock_guard lock(readers_mutex_);
      idle_.emplace_back(connection);
    }
    reader_free_.notify_one();
  }

  const Settings settings_;
  const bool temporary_;
  const int most_readers_;

  std::mutex writer_mutex_;  // guards writer_
  std::unique_ptr<Connection> writer_;
  std::atomic<std::thread::id> writing_;  // who holds writer_mutex_

  std::mutex readers_mutex_;  // guards idle_ and open_readers_
  std::condition_variable reader_free_;
  std::vector<std::unique_ptr<Connection>> idle_;
  int open_readers_ = 0;
};

Result<std::string> make_temporary_file() {
  std::error_code error;
  auto path = (std::filesystem::temp_directory_path(error) / "patchbay-XXXXXX").string();
  const int file = error ? -1 : ::mkstemp(path.data());
  if (file < 0) return fail(Errc::unavailable, "no temporary database file can be made: set TMPDIR");
  ::close(file);
  return path;
}

// The file holds tokens (sealed) and people's data, so a new one is its owner's alone; the log takes its mode over. One
// that exists is not touched: closing any descriptor of it would drop this process's locks on it (fcntl(2)).
Result<> make_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file >= 0) ::close(file);
  if (file >= 0 || errno == EEXIST) return {};
  return fail(Errc::unavailable, fmt::format("{} cannot be made: {}", path, std::strerror(errno)));
}

}  // namespace

Result<std::unique_ptr<Database>> open(std::string_view place, const Options& options) {
  Settings settings;
  settings.busy_timeout_ms = options.busy_timeout_ms;
  const bool temporary = place == ":memory:";
  if (temporary) {
    auto path = make_temporary_file();
    if (!path) return std::unexpected(path.error());
    settings.path = *std::move(path);
    settings.durable = false;
  } else {
    settings.path = place;
    if (auto made = make_file(settings.path); !made) return std::unexpected(made.error());
  }
  auto writer = Connection::create(settings, Mode::write);
  if (!writer) return std::unexpected(writer.error());
  return std::make_unique<SqliteDatabase>(std::move(settings), temporary, options.readers, *std::move(writer));
}

}  // namespace patchbay::store::sqlite
