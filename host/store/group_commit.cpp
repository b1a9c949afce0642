#include "store/group_commit.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "core/metrics.hpp"

namespace patchbay::store {
namespace {

struct Queued {
  std::size_t applier;
  std::unique_ptr<GroupCommit::Item> item;
  std::size_t bytes;
};

struct Finished {
  std::unique_ptr<GroupCommit::Item> item;
  Result<> result;
};

}  // namespace

struct GroupCommit::Impl {
  Database& database;
  Executor& executor;
  const std::vector<Applier*> appliers;
  const Limits limits;
  const Work guard;

  metrics::Counter batches = metrics::counter("patchbay_commit_batches_total", "Transactions of the commit thread");
  metrics::Counter items = metrics::counter("patchbay_commit_items_total", "Items that it committed");
  metrics::Histogram seconds = metrics::histogram("patchbay_commit_seconds", "Time of one batch, with its sync");
  metrics::Gauge depth = metrics::gauge("patchbay_commit_queue", "Items that wait for their commit or are in it");

  mutable std::mutex mutex;  // guards what follows, up to the thread
  std::condition_variable wake;
  std::vector<Queued> queue;
  std::size_t held_items = 0;  // queued and in commit
  std::size_t held_bytes = 0;
  bool asleep = false;  // only then a submit has to wake the thread: a system call spared under load
  bool stopping = false;

  std::function<void(const Result<>&)> changed;

  // Of the thread only.
  bool refused = false;  // by the database, the last batch
  std::vector<Queued> taken;
  std::vector<std::vector<Item*>> by_applier;
  std::thread thread;

  Impl(Database& db, Executor& on, std::vector<Applier*> all, Limits most, Work asked_first)
      : database(db),
        executor(on),
        appliers(std::move(all)),
        limits(most),
        guard(std::move(asked_first)),
        by_applier(appliers.size()) {}

  void run();
  void commit(std::span<Queued> batch);
  Result<> apply(std::span<const Queued> batch);
  void apply_parts(std::span<const Queued> batch, std::span<Result<>> results);
  void release(std::span<const Queued> batch);
};

GroupCommit::GroupCommit(Database& database, Executor& executor, std::vector<Applier*> appliers, Limits limits, Work guard)
    : impl_(std::make_unique<Impl>(database, executor, std::move(appliers), limits, std::move(guard))) {
  impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
}

GroupCommit::~GroupCommit() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->wake.notify_one();
  impl_->thread.join();
}

Result<> GroupCommit::submit(std::size_t applier, std::unique_ptr<Item>& item) {
  auto& impl = *impl_;
  if (applier >= impl.appliers.size()) return fail(Errc::internal, "no such applier of the commit queue");
  const std::size_t bytes = item->bytes();
  bool wake = false;
  {
    const std::lock_guard lock(impl.mutex);
    // One that is larger than the whole limit still goes through, alone.
    const bool too_large = impl.held_items > 0 && impl.held_bytes + bytes > impl.limits.bytes;
    if (impl.held_items >= impl.limits.items || too_large) {
      return fail(Errc::exhausted, "the commit queue is full");
    }
    impl.queue.push_back({applier, std::move(item), bytes});
    ++impl.held_items;
    impl.held_bytes += bytes;
    impl.depth.set(static_cast<double>(impl.held_items));
    wake = std::exchange(impl.asleep, false);
  }
  if (wake) impl.wake.notify_one();
  return {};
}

void GroupCommit::on_change(std::function<void(const Result<>&)> changed) { impl_->changed = std::move(changed); }

std::size_t GroupCommit::pending() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->held_items;
}

void GroupCommit::Impl::run() {
  std::size_t last = 0;  // how many the batch before held
  while (true) {
    {
      std::unique_lock lock(mutex);
      while (queue.empty() && !stopping) {
        asleep = true;
        wake.wait(lock);
      }
      asleep = false;
      if (queue.empty()) return;
      if (last >= limits.busy && queue.size() < limits.full) {
        wake.wait_for(lock, limits.gather, [this] { return stopping; });
      }
      taken.swap(queue);
      last = taken.size();
    }
    const std::span all(taken);
    for (std::size_t first = 0; first < all.size(); first += limits.batch) {
      commit(all.subspan(first, std::min(limits.batch, all.size() - first)));
    }
    taken.clear();
  }
}

void GroupCommit::Impl::commit(std::span<Queued> batch) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<Result<>> results(batch.size());
  apply_parts(batch, results);
  seconds.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  release(batch);

  std::vector<Finished> finished;
  finished.reserve(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    finished.push_back({std::move(batch[i].item), std::move(results[i])});
  }
  const auto& last = finished.back().result;
  const bool refuses = !last && may_pass(last.error().code);
  const bool tell = changed && refuses != std::exchange(refused, refuses);
  executor.post([finished = std::move(finished), changed = tell ? changed : nullptr]() mutable {
    if (changed) changed(finished.back().result);
    for (auto& [item, result] : finished) {
      item->finished(std::move(result));
      item.reset();
    }
  });
}

Result<> GroupCommit::Impl::apply(std::span<const Queued> batch) {
  for (auto& list : by_applier) list.clear();
  for (const auto& queued : batch) by_applier[queued.applier].push_back(queued.item.get());
  auto done = database.write([this](Transaction& transaction) -> Result<> {
    if (guard) {
      if (auto asked = guard(transaction); !asked) return asked;
    }
    for (std::size_t i = 0; i < appliers.size(); ++i) {
      if (by_applier[i].empty()) continue;
      if (auto applied = appliers[i]->apply(transaction, by_applier[i]); !applied) return applied;
    }
    return {};
  });
  batches.increment();
  if (done) items.increment(static_cast<double>(batch.size()));
  return done;
}

void GroupCommit::Impl::apply_parts(std::span<const Queued> batch, std::span<Result<>> results) {
  auto done = apply(batch);
  if (done) return;
  // A full disk or a database that is away holds for every item: each would only wait for it again.
  if (batch.size() == 1 || may_pass(done.error().code)) {
    std::fill(results.begin(), results.end(), done);
    return;
  }
  const auto half = batch.size() / 2;
  apply_parts(batch.first(half), results.first(half));
  apply_parts(batch.subspan(half), results.subspan(half));
}

void GroupCommit::Impl::release(std::span<const Queued> batch) {
  std::size_t bytes = 0;
  for (const auto& queued : batch) bytes += queued.bytes;
  const std::lock_guard lock(mutex);
  held_items -= batch.size();
  held_bytes -= bytes;
  depth.set(static_cast<double>(held_items));
}

}  // namespace patchbay::store
