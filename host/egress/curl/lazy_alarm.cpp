#include "egress/curl/lazy_alarm.hpp"

namespace patchbay::egress {

void LazyAlarm::set(TimePoint due) {
  due_ = due;
  if (!armed_ || due < *armed_) arm(due);
}

void LazyAlarm::arm(TimePoint at) {
  armed_ = at;
  timer_.expires_at(at);
  timer_.async_wait([this, alive = std::weak_ptr<char>(alive_)](const boost::system::error_code& error) {
    if (error || alive.expired()) return;
    fired();
  });
}

void LazyAlarm::fired() {
  armed_.reset();
  if (!due_) return;
  if (std::chrono::steady_clock::now() < *due_) return arm(*due_);
  due_.reset();
  ring_();  // may destroy this
}

}  // namespace patchbay::egress
