#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "core/loop.hpp"
#include "core/metrics.hpp"
#include "core/time.hpp"
#include "engine/purge.hpp"
#include "store/group_commit.hpp"

namespace patchbay::engine {

// How long runs that have ended are kept, with their events and deliveries. The oldest go first; 0: no limit.
struct RetentionSettings {
  std::chrono::milliseconds age{std::chrono::hours{24 * 30}};
  std::int64_t bytes = 0;  // of the whole database
  std::int64_t runs_per_flow = 0;
  std::int64_t runs_per_user = 0;
  std::int64_t bytes_per_flow = 0;  // of bodies, events and steps, as stored
  std::int64_t bytes_per_user = 0;
  std::chrono::milliseconds look{250};    // how often the size is looked at
  std::chrono::milliseconds count{60'000};  // how often age, numbers and sizes of flows and users are
};

// Removes what is too old or too much: some runs at a time, each lot within a batch of the commit thread, so that it costs
// no sync of its own and holds up the others for a few milliseconds at most. On the loop's thread only; what takes longer is
// asked on `background`, which nothing else waits for.
class Retention : public store::GroupCommit::Applier {
 public:
  Retention(Loop& loop, Executor& background, const Clock& clock, store::Database& database, RetentionSettings settings);
  ~Retention() override;
  void attach(store::GroupCommit& queue, std::size_t place);

  void begin();

  Result<> apply(store::Transaction& transaction, std::span<store::GroupCommit::Item* const> items) override;

 private:
  class Lot;
  // A wish, and how many of its runs are too many; none: all.
  struct Order {
    PurgeWish wish;
    std::optional<std::int64_t> runs;
  };
  void look_later();
  void look();
  void looked(const Result<store::Space>& space);
  void count_later();
  void count();
  [[nodiscard]] Result<std::deque<Order>> too_much(Timestamp now);
  void next();
  void submit(const Order& order);
  void removed(Result<> result, const PurgeWish& wish, const Purged& purged);
  void shrink();

  Loop& loop_;
  Executor& background_;
  const Clock& clock_;
  store::Database& database_;
  const RetentionSettings settings_;
  store::GroupCommit* queue_ = nullptr;
  std::size_t place_ = 0;
  std::deque<Order> orders_;
  std::optional<Order> current_;  // the lot that is on its way; none: it is for the size
  bool over_ = false;     // the database is larger than it may be
  bool nothing_more_ = false;  // and nothing is left that may go, until the next count
  bool removing_ = false;  // a lot is on its way
  bool looking_ = false;
  std::string came_to_;   // id: over the size, runs before it were looked at
  int lot_ = 32;          // runs in one lot, as many as take about kLotTime
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  metrics::Counter runs_removed_;
  metrics::Gauge bytes_used_;
};

}  // namespace patchbay::engine
