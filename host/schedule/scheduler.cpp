#include "schedule/scheduler.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace patchbay::schedule {
namespace {

// The executor counts real time, the clock may be set: look again at least this often.
constexpr std::chrono::milliseconds kLongestWait{60'000};

}  // namespace

// Shared with the timer's task, which may run after the scheduler is gone.
struct Scheduler::Impl : std::enable_shared_from_this<Scheduler::Impl> {
  struct Entry {
    Timestamp at;
    std::uint64_t turn;  // which set() made it
  };

  Executor& executor;
  const Clock& clock;
  Due due;
  bool closed = false;
  std::unordered_map<WatchId, Entry> entries;
  std::set<std::pair<Timestamp, WatchId>> order;  // of all entries
  std::uint64_t turns = 0;
  std::uint64_t timer = 0;  // of the executor; 0: none is armed
  Timestamp timer_at;
  bool stepping = false;

  Impl(Executor& executor_, const Clock& clock_, Due due_) : executor(executor_), clock(clock_), due(std::move(due_)) {}

  void close() {
    closed = true;
    disarm();
    entries.clear();
    order.clear();
  }

  void remove(WatchId watch) {
    const auto entry = entries.find(watch);
    if (entry == entries.end()) return;
    order.erase({entry->second.at, watch});
    entries.erase(entry);
  }

  void disarm() {
    if (timer != 0) executor.cancel(std::exchange(timer, 0));
  }

  // One timer, for the earliest.
  void arm() {
    if (closed || stepping) return;
    if (order.empty()) return disarm();
    const auto at = order.begin()->first;
    if (timer != 0 && timer_at == at) return;
    disarm();
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(at - clock.now());
    timer_at = at;
    timer = executor.after(std::clamp(wait, std::chrono::milliseconds{0}, kLongestWait), [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self || self->closed) return;
      self->timer = 0;
      self->step();
    });
  }

  // Those that are due now, each once: what a callback sets anew waits for the next step, what it erases or moves is
  // not called.
  void step() {
    if (closed || stepping) return;
    const auto self = shared_from_this();  // a callback may destroy the scheduler
    const auto now = clock.now();
    std::vector<std::pair<WatchId, std::uint64_t>> batch;
    for (auto it = order.begin(); it != order.end() && it->first <= now; ++it) {
      batch.emplace_back(it->second, entries.at(it->second).turn);
    }
    stepping = true;
    for (const auto& [watch, turn] : batch) {
      const auto entry = entries.find(watch);
      if (entry == entries.end() || entry->second.turn != turn) continue;
      remove(watch);
      due(watch);
      if (closed) return;
    }
    stepping = false;
    arm();
  }
};

Scheduler::Scheduler(Executor& executor, const Clock& clock, Due due)
    : impl_(std::make_shared<Impl>(executor, clock, std::move(due))) {}

Scheduler::~Scheduler() { impl_->close(); }

void Scheduler::set(WatchId watch, Timestamp at) {
  impl_->remove(watch);
  impl_->entries[watch] = {at, ++impl_->turns};
  impl_->order.emplace(at, watch);
  impl_->arm();
}

void Scheduler::erase(WatchId watch) {
  impl_->remove(watch);
  impl_->arm();
}

void Scheduler::clear() {
  impl_->entries.clear();
  impl_->order.clear();
  impl_->arm();
}

void Scheduler::step() { impl_->step(); }

}  // namespace patchbay::schedule
