#include "kit/virtual_time.hpp"

namespace patchbay::kit {

std::uint64_t VirtualTime::after(std::chrono::milliseconds delay, Task task) {
  const auto timer = ++last_;
  timers_.emplace(std::pair{now_ + delay, timer}, std::move(task));
  return timer;
}

void VirtualTime::cancel(std::uint64_t timer) {
  std::erase_if(timers_, [timer](const auto& entry) { return entry.first.second == timer; });
}

void VirtualTime::run_ready() {
  while (true) {
    if (!ready_.empty()) {
      auto task = std::move(ready_.front());
      ready_.pop_front();
      task();
    } else if (!timers_.empty() && timers_.begin()->first.first <= now_) {
      auto timer = timers_.extract(timers_.begin());
      timer.mapped()();
    } else {
      return;
    }
  }
}

bool VirtualTime::step_until(Timestamp limit) {
  run_ready();
  const bool due = !timers_.empty() && timers_.begin()->first.first <= limit;
  now_ = std::max(now_, due ? timers_.begin()->first.first : limit);
  run_ready();
  return due;
}

}  // namespace patchbay::kit
