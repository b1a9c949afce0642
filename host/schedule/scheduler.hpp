#pragma once

#include <functional>
#include <memory>

#include "core/executor.hpp"
#include "core/id.hpp"
#include "core/time.hpp"

namespace patchbay::schedule {

// Calls back when watches are due: polls, renewals, timers. Holds times only; what is due is the store's knowledge.
// On the executor's thread only.
class Scheduler {
 public:
  using Due = std::function<void(WatchId)>;
  Scheduler(Executor& executor, const Clock& clock, Due due);
  ~Scheduler();

  void set(WatchId watch, Timestamp at);  // replaces an earlier time
  void erase(WatchId watch);
  void clear();
  // Calls back for all that are due at the clock's now. The timer does this; tests call it by hand.
  void step();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace patchbay::schedule
