#pragma once

#include <deque>
#include <map>
#include <optional>

#include "core/executor.hpp"
#include "core/time.hpp"

namespace patchbay::kit {

// An executor whose time stands still until somebody moves it: an hour of waiting costs nothing, and two runs are the
// same. One thread only.
class VirtualTime : public Executor, public Clock {
 public:
  explicit VirtualTime(Timestamp start = Timestamp{std::chrono::sys_days{std::chrono::year{2026} / 1 / 15}}) : now_(start) {}

  void post(Task task) override { ready_.push_back(std::move(task)); }
  std::uint64_t after(std::chrono::milliseconds delay, Task task) override;
  void cancel(std::uint64_t timer) override;
  [[nodiscard]] Timestamp now() const override { return now_; }

  void run_ready();  // what is due now, and what that makes due
  // Goes to the next timer and runs it; false: there is none up to that time, and it is that time now.
  bool step_until(Timestamp limit);
  [[nodiscard]] bool idle() const { return ready_.empty() && timers_.empty(); }

 private:
  Timestamp now_;
  std::deque<Task> ready_;
  std::uint64_t last_ = 0;
  std::map<std::pair<Timestamp, std::uint64_t>, Task> timers_;
};

}  // namespace patchbay::kit
