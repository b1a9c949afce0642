#include "store/pooled_database.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace patchbay::store {
namespace {

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

  Result<> announce() override {
    if (error_) return std::unexpected(*error_);
    auto done = connection_.announce(retry_);
    if (!done) error_ = done.error();
    return done;
  }

  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] Retry retry() const { return retry_; }

 private:
  Result<std::int64_t> run(std::string_view sql, std::size_t columns, std::span<const Param> params,
                           const OnRow& on_row) {
    if (error_) return std::unexpected(*error_);
    auto result = connection_.run(sql, columns, params, on_row, retry_);
    if (!result) error_ = result.error();
    return result;
  }

  Connection& connection_;
  std::optional<Error> error_;
  Retry retry_ = Retry::no;
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

struct Ended {
  Result<> result;
  Retry retry = Retry::no;
  bool broken = false;  // the connection
};

Ended run_once(Connection& connection, Access access, const Work& work) {
  Ended ended;
  ended.result = connection.begin(access, ended.retry);
  if (ended.result) {
    const RollBackGuard guard(connection);
    Attempt attempt(connection);
    ended.result = work(attempt);
    if (attempt.error()) {
      ended.retry = attempt.retry();
      if (ended.result) ended.result = std::unexpected(*attempt.error());
    } else if (ended.result) {
      ended.result = connection.commit(ended.retry);
      ended.broken = ended.retry == Retry::reconnect;
      if (ended.broken && access == Access::write) ended.retry = Retry::no;  // it may be committed
    }
  }
  ended.broken = ended.broken || ended.retry == Retry::reconnect;
  return ended;
}

// Two that were in each other's way are not to meet again.
void pause_before(int tries) {
  thread_local std::minstd_rand random{std::random_device{}()};
  std::uniform_int_distribution<int> micros(0, 500 << std::min(tries, 6));
  std::this_thread::sleep_for(std::chrono::microseconds{micros(random)});
}

class PooledDatabase final : public Database {
 public:
  PooledDatabase(PoolSettings settings, std::unique_ptr<Connection> writer) : settings_(std::move(settings)), writer_(std::move(writer)) {}

  ~PooledDatabase() override {
    idle_.clear();
    writer_.reset();
    settings_.closed();
  }

  Result<> write(const Work& work) override {
    const auto lock = lock_writer();
    if (!lock) return std::unexpected(lock.error());
    return run(writer_, Access::write, work);
  }

  Result<> read(const Work& work) override {
    const Borrowed reader(*this);
    return run(reader.connection(), Access::read, work);
  }

  Result<> run_script(std::string_view sql) override {
    const auto lock = lock_writer();
    if (!lock) return std::unexpected(lock.error());
    if (auto opened = open_if_closed(writer_, Access::write); !opened) return opened;
    auto retry = Retry::no;
    auto done = writer_->run_script(sql, retry);
    if (retry == Retry::reconnect) writer_.reset();
    return done;
  }

  std::string_view dialect() const override { return settings_.dialect; }
  bool is_shared() const override { return settings_.shared; }

  Result<Space> space() override {
    Space space;
    auto asked = read([&](Transaction& transaction) -> Result<> {
      auto row = transaction.execute(settings_.space, {}, [&space](const Row& sizes) { space = {sizes.integer(0), sizes.integer(1)}; });
      if (!row) return std::unexpected(row.error());
      return {};
    });
    if (!asked) return std::unexpected(asked.error());
    return space;
  }

  Result<> compact() override { return run_script(settings_.compact); }

  Result<std::int64_t> shrink(std::int64_t bytes) override {
    if (!settings_.shrink) return 0;
    const auto before = space();
    if (!before) return std::unexpected(before.error());
    if (auto done = run_script(settings_.shrink(bytes)); !done) return std::unexpected(done.error());
    const auto after = space();
    if (!after) return std::unexpected(after.error());
    return before->unused - after->unused;
  }

  Result<bool> is_held(std::string_view place) override {
    bool free = true;
    if (settings_.take_place.empty()) return !free;
    auto tried = read([&](Transaction& transaction) -> Result<> {
      auto row = transaction.execute(settings_.take_place, {place}, [&free](const Row& taken) { free = taken.integer(0) != 0; });
      if (!row) return std::unexpected(row.error());
      return {};
    });
    if (!tried) return std::unexpected(tried.error());
    return !free;
  }

 private:
  Result<> open_if_closed(std::unique_ptr<Connection>& connection, Access access) {
    if (connection) return {};
    auto opened = settings_.open(access);
    if (!opened) return fail(Errc::unavailable, opened.error().message);  // for now: it was there before
    connection = *std::move(opened);
    return {};
  }

  Result<> run(std::unique_ptr<Connection>& connection, Access access, const Work& work) {
    for (int tries = 1;; ++tries) {
      if (auto opened = open_if_closed(connection, access); !opened) return opened;
      auto ended = run_once(*connection, access, work);
      if (ended.broken) connection.reset();
      if (ended.result || ended.retry == Retry::no || tries == settings_.tries) return std::move(ended.result);
      if (ended.retry == Retry::again) pause_before(tries);
    }
  }

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

  // A place among the readers, with or without a connection yet; waits for one.
  class Borrowed {
   public:
    explicit Borrowed(PooledDatabase& database) : database_(database) {
      std::unique_lock lock(database.readers_mutex_);
      database.reader_free_.wait(lock, [&] { return !database.idle_.empty() || database.open_readers_ < std::max(database.settings_.readers, 1); });
      if (database.idle_.empty()) {
        ++database.open_readers_;
        return;
      }
      connection_ = std::move(database.idle_.back());
      database.idle_.pop_back();
    }
    ~Borrowed() {
      {
        const std::lock_guard lock(database_.readers_mutex_);
        if (connection_) database_.idle_.push_back(std::move(connection_));
        else --database_.open_readers_;
      }
      database_.reader_free_.notify_one();
    }
    Borrowed(const Borrowed&) = delete;
    Borrowed& operator=(const Borrowed&) = delete;
    std::unique_ptr<Connection>& connection() const { return connection_; }

   private:
    PooledDatabase& database_;
    mutable std::unique_ptr<Connection> connection_;
  };

  const PoolSettings settings_;

  std::mutex writer_mutex_;  // guards writer_
  std::unique_ptr<Connection> writer_;
  std::atomic<std::thread::id> writing_;  // who holds writer_mutex_

  std::mutex readers_mutex_;  // guards idle_ and open_readers_
  std::condition_variable reader_free_;
  std::vector<std::unique_ptr<Connection>> idle_;
  int open_readers_ = 0;
};

}  // namespace

Result<std::unique_ptr<Database>> make_pooled_database(PoolSettings settings) {
  auto writer = settings.open(Access::write);
  if (!writer) return std::unexpected(writer.error());
  return std::make_unique<PooledDatabase>(std::move(settings), *std::move(writer));
}

}  // namespace patchbay::store
