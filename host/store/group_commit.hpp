#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/error.hpp"
#include "core/executor.hpp"
#include "store/database.hpp"

namespace patchbay::store {

// One thread that commits what many wait for. It takes all that is queued, applies it in one transaction, commits
// once, and then tells each: fsync, and each index page, is paid by the batch. While one batch commits, the next
// gathers. Under load it gathers a moment longer (Limits::gather), as PostgreSQL's commit_delay does where
// commit_siblings are waiting: https://www.postgresql.org/docs/15/runtime-config-wal.html#GUC-COMMIT-DELAY. A lone item
// is never made to wait.
//
// An Item belongs to an Applier, which applies a batch of its items with few statements. When a batch fails, its halves
// are applied each in a transaction of its own, and so on down, so that one bad item of a thousand fails alone after
// twenty transactions. Where the error is the database's (full disk, away) the whole batch is told so at once.
class GroupCommit {
 public:
  class Item {
   public:
    virtual ~Item() = default;
    [[nodiscard]] virtual std::size_t bytes() const = 0;  // about what it holds: counts against the queue's limit
    // Called once, on the executor: committed (also when it was a duplicate), or why not.
    virtual void finished(Result<> result) = 0;
  };

  class Applier {
   public:
    virtual ~Applier() = default;
    // On the commit thread. Called again with the same items when the first try was rolled back, so it must reset what
    // it noted in them.
    virtual Result<> apply(Transaction& transaction, std::span<Item* const> items) = 0;
  };

  struct Limits {
    std::size_t items = 10'000;
    std::size_t bytes = 64 << 20;
    std::size_t batch = 1'000;  // at most so many in one transaction
    // After a batch of at least `busy` the thread waits so long for more, unless `full` are there already.
    std::chrono::microseconds gather{700};
    std::size_t busy = 4;
    std::size_t full = 32;
  };

  // appliers are applied in this order within a batch; they and the database outlive this. finished() runs on executor,
  // one post a batch. guard is asked first in each transaction: what it refuses is not made.
  GroupCommit(Database& database, Executor& executor, std::vector<Applier*> appliers, Limits limits, Work guard = {});
  ~GroupCommit();  // commits what is queued, then joins its thread

  // Queues item for applier (its place in `appliers`). Never blocks. Any thread.
  // Errc::exhausted: the queue is full; item comes back untouched in the argument, finished() is not called.
  Result<> submit(std::size_t applier, std::unique_ptr<Item>& item);

  // Called on the executor when the database begins to refuse batches (full disk, away), and when it takes them again.
  // Before the first submit().
  void on_change(std::function<void(const Result<>&)> changed);

  // Queued and in commit. Any thread.
  [[nodiscard]] std::size_t pending() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace patchbay::store
