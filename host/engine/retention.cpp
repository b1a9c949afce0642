#include "engine/retention.hpp"

#include <algorithm>
#include <utility>

#include "core/log.hpp"

namespace patchbay::engine {
namespace {

using std::chrono::milliseconds;
using store::Row;

constexpr milliseconds kLotTime{3};
constexpr int kSmallestLot = 4;
constexpr int kLargestLot = 256;
// Purging begins a little below the limit, so that what comes meanwhile stays within it.
constexpr double kBeginAt = 0.97;
constexpr std::int64_t kShrinkAtOnce = 1 << 20;
constexpr std::int64_t kWorthShrinking = 16 << 20;

}  // namespace

// Some runs to be removed with the next batch.
class Retention::Lot final : public store::GroupCommit::Item {
 public:
  Lot(Retention& of, PurgeWish wish) : alive_(of.alive_), of_(of), wish_(std::move(wish)) {}
  [[nodiscard]] std::size_t bytes() const override { return sizeof(*this); }
  void finished(Result<> result) override {
    if (!*alive_) return;
    // Twice as many next time while it is quick, fewer when it is not.
    if (took_ > kLotTime) of_.lot_ = std::max(of_.lot_ / 2, kSmallestLot);
    else if (took_ < kLotTime / 2 && purged_.runs == wish_.runs) of_.lot_ = std::min(of_.lot_ * 2, kLargestLot);
    of_.removed(std::move(result), wish_, purged_);
  }
  Result<> apply(store::Transaction& transaction) {
    const auto began = std::chrono::steady_clock::now();
    auto purged = purge(transaction, wish_);
    took_ = std::chrono::steady_clock::now() - began;
    if (!purged) return std::unexpected(purged.error());
    purged_ = *std::move(purged);
    return {};
  }

 private:
  std::shared_ptr<bool> alive_;
  Retention& of_;
  PurgeWish wish_;
  Purged purged_;
  std::chrono::steady_clock::duration took_{};
};

Retention::Retention(Loop& loop, Executor& background, const Clock& clock, store::Database& database, RetentionSettings settings)
    : loop_(loop),
      background_(background),
      clock_(clock),
      database_(database),
      settings_(settings),
      runs_removed_(metrics::counter("patchbay_runs_purged_total", "Runs that retention removed")),
      bytes_used_(metrics::gauge("patchbay_database_bytes", "What the database's data take")) {}

Retention::~Retention() { *alive_ = false; }

void Retention::attach(store::GroupCommit& queue, std::size_t place) {
  queue_ = &queue;
  place_ = place;
}

void Retention::begin() {
  look_later();
  count();
}

void Retention::look_later() {
  const auto often = settings_.bytes > 0 ? settings_.look : settings_.count;
  loop_.after(often, [this, alive = alive_] {
    if (!*alive) return;
    look();
    look_later();
  });
}

void Retention::look() {
  if (std::exchange(looking_, true)) return;
  background_.post([this, alive = alive_] {
    auto space = database_.space();
    loop_.post([this, alive, space = std::move(space)] {
      if (!*alive) return;
      looking_ = false;
      looked(space);
    });
  });
}

void Retention::looked(const Result<store::Space>& space) {
  if (!space) return log::warn("engine", "the size of the database cannot be read: {}", space.error().message);
  bytes_used_.set(static_cast<double>(space->used));
  const bool was_over = over_;
  over_ = settings_.bytes > 0 && !nothing_more_ && static_cast<double>(space->used) > kBeginAt * static_cast<double>(settings_.bytes);
  if (over_ && !was_over) came_to_.clear();  // what was under way before may have ended
  if (over_) return next();
  if (space->unused > std::max(kWorthShrinking, (space->used + space->unused) / 10)) shrink();
}

// In small steps, each a transaction of its own, until the unused part is small.
void Retention::shrink() {
  if (std::exchange(looking_, true)) return;
  background_.post([this, alive = alive_] {
    auto given = database_.shrink(kShrinkAtOnce);
    loop_.post([this, alive, given = std::move(given)] {
      if (!*alive) return;
      looking_ = false;
      if (given && *given > 0) look();
    });
  });
}

void Retention::count_later() {
  loop_.after(settings_.count, [this, alive = alive_] {
    if (*alive) count();
  });
}

void Retention::count() {
  nothing_more_ = false;
  background_.post([this, alive = alive_, now = clock_.now()] {
    auto orders = too_much(now);
    loop_.post([this, alive, orders = std::move(orders)]() mutable {
      if (!*alive) return;
      if (orders) orders_ = *std::move(orders);
      else log::warn("engine", "what is kept cannot be counted: {}", orders.error().message);
      next();
      count_later();
    });
  });
}

Result<std::deque<Retention::Order>> Retention::too_much(Timestamp now) {
  std::deque<Order> orders;
  if (settings_.age.count() > 0) orders.push_back({{.before = purge_boundary(now - settings_.age)}, std::nullopt});
  const auto ask = [&](std::int64_t most, std::string_view sql, auto add) -> Result<> {
    if (most <= 0) return {};
    return database_.read([&](store::Transaction& transaction) -> Result<> {
      auto rows = transaction.execute(sql, {most}, [&](const Row& row) { add(std::string(row.text(0)), row.integer(1), row.integer(2)); });
      if (!rows) return std::unexpected(rows.error());
      return {};
    });
  };
  const auto flow_runs = [&](std::string id, std::int64_t, std::int64_t more) { orders.push_back({{.flow = std::move(id)}, more}); };
  const auto user_runs = [&](std::string id, std::int64_t, std::int64_t more) { orders.push_back({{.user = std::move(id)}, more}); };
  // Of sizes: as large a part of the runs as of the bytes is too much, and one more.
  const auto part = [](std::int64_t runs, std::int64_t bytes, std::int64_t most) { return runs * (bytes - most) / bytes + 1; };
  const auto flow_bytes = [&](std::string id, std::int64_t runs, std::int64_t bytes) {
    orders.push_back({{.flow = std::move(id)}, part(runs, bytes, settings_.bytes_per_flow)});
  };
  const auto user_bytes = [&](std::string id, std::int64_t runs, std::int64_t bytes) {
    orders.push_back({{.user = std::move(id)}, part(runs, bytes, settings_.bytes_per_user)});
  };
  if (auto done = ask(settings_.runs_per_flow, "SELECT flow_id, COUNT(*), COUNT(*) - $1 FROM runs GROUP BY flow_id HAVING COUNT(*) > $1", flow_runs); !done) {
    return std::unexpected(done.error());
  }
  if (auto done = ask(settings_.runs_per_user, "SELECT user_id, COUNT(*), COUNT(*) - $1 FROM runs GROUP BY user_id HAVING COUNT(*) > $1", user_runs); !done) {
    return std::unexpected(done.error());
  }
  if (auto done = ask(settings_.bytes_per_flow,
                      "SELECT flow_id, COUNT(*), SUM(LENGTH(body)) FROM deliveries GROUP BY flow_id HAVING SUM(LENGTH(body)) > $1", flow_bytes);
      !done) {
    return std::unexpected(done.error());
  }
  if (auto done = ask(settings_.bytes_per_user,
                      "SELECT user_id, COUNT(*), SUM(LENGTH(body)) FROM deliveries GROUP BY user_id HAVING SUM(LENGTH(body)) > $1", user_bytes);
      !done) {
    return std::unexpected(done.error());
  }
  return orders;
}

// One lot at a time: the size goes first.
void Retention::next() {
  if (removing_) return;
  current_.reset();
  if (over_) return submit({{.after = came_to_}, std::nullopt});
  if (orders_.empty()) return;
  current_ = std::move(orders_.front());  // a new count may come before the lot is done
  orders_.pop_front();
  submit(*current_);
}

void Retention::submit(const Order& order) {
  auto wish = order.wish;
  wish.runs = static_cast<int>(std::min<std::int64_t>(lot_, order.runs.value_or(lot_)));
  removing_ = true;
  std::unique_ptr<store::GroupCommit::Item> lot = std::make_unique<Lot>(*this, std::move(wish));
  if (queue_->submit(place_, lot)) return;
  removing_ = false;  // the queue is full: the next look or count comes back to it
}

void Retention::removed(Result<> result, const PurgeWish& wish, const Purged& purged) {
  removing_ = false;
  if (!result) return log::warn("engine", "old runs could not be removed yet: {}", result.error().message);
  runs_removed_.increment(purged.runs);
  const bool done = purged.runs < wish.runs && purged.deliveries == 0;
  if (!current_) {
    came_to_ = purged.last;
    if (done) {
      over_ = false;
      nothing_more_ = true;
      log::warn("engine", "the database is larger than retention.bytes, and there is nothing more that may be removed");
      return;
    }
    return look();
  }
  current_->wish.after = purged.last;
  if (current_->runs) *current_->runs -= purged.runs;
  if (!done && (!current_->runs || *current_->runs > 0)) orders_.push_front(*std::move(current_));
  next();
}

Result<> Retention::apply(store::Transaction& transaction, std::span<store::GroupCommit::Item* const> items) {
  for (auto* item : items) {
    if (auto applied = static_cast<Lot&>(*item).apply(transaction); !applied) return applied;
  }
  return {};
}

}  // namespace patchbay::engine
