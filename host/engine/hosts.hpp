#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <unordered_map>

#include "core/error.hpp"
#include "core/id.hpp"
#include "core/time.hpp"
#include "store/database.hpp"

namespace patchbay::engine {

// This process among those that carry out what is in one database. Each has a row, whose beat it counts up; runs and
// watches name the host that has them. One that died is seen by its place (store::Options::place), which is free at once,
// or by its beat, which stands still for a lease: then another one removes its row and frees what it had. Whoever was taken
// for dead and is not finds its row gone before it can write: fence(). No clock is compared with another machine's.
// fence() is for the commit thread; the others block, and are called by one thread at a time.
class Hosts {
 public:
  using SteadyNow = std::function<std::chrono::steady_clock::time_point()>;  // any thread; tests have their own
  Hosts(store::Database& database, HostId me, std::chrono::milliseconds lease, SteadyNow now = std::chrono::steady_clock::now);

  [[nodiscard]] const std::string& me() const { return me_; }

  // Comes in, and frees what those had that died before.
  Result<> enter(Timestamp now);
  // Counts up, and looks after the others; to be called a few times in a lease. True: something was freed.
  Result<bool> beat(Timestamp now);
  // Gives everything back. interrupted: reactions were under way, and nobody knows what became of them.
  Result<> leave(Timestamp now, bool interrupted);

  // In each transaction of this host. Errc::unavailable: others have taken it for dead; from then on is_shut_out().
  Result<> fence(store::Transaction& transaction);
  [[nodiscard]] bool is_shut_out() const { return shut_out_; }
  // The last beat is not so old that others may have taken this host for dead: a process that was stopped for a while must
  // look before it begins anything. Any thread.
  [[nodiscard]] bool is_sure() const { return !shut_out_ && steady_now_() < sure_until_.load(); }

 private:
  struct Seen {
    std::int64_t beat = 0;
    std::chrono::steady_clock::time_point since;
    bool gone = false;  // its place was free at the last look
  };
  enum class Look { first, later };
  Result<bool> bury_the_dead(Timestamp now, Look look);
  Result<bool> is_dead(const std::string& id, std::int64_t beat, Look look);
  Result<bool> bury(const std::string& id, std::int64_t beat, Timestamp now);

  store::Database& database_;
  const std::string me_;
  const std::chrono::milliseconds lease_;
  const SteadyNow steady_now_;
  std::unordered_map<std::string, Seen> seen_;
  std::atomic<bool> shut_out_{false};
  std::atomic<std::chrono::steady_clock::time_point> sure_until_{};
};

}  // namespace patchbay::engine
