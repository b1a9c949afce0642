#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include <boost/asio/steady_timer.hpp>

namespace patchbay::egress {

// One timer that is moved thousands of times a second. Moving it to later costs nothing: asio's timer is left as it is
// and looks again when it fires. On the loop only.
class LazyAlarm {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  LazyAlarm(boost::asio::io_context& context, std::function<void()> ring) : timer_(context), ring_(std::move(ring)) {}

  void set(TimePoint due);  // in place of the time before
  void clear() { due_.reset(); }

 private:
  void arm(TimePoint at);
  void fired();

  boost::asio::steady_timer timer_;
  std::function<void()> ring_;
  std::optional<TimePoint> due_;
  std::optional<TimePoint> armed_;                          // when asio's timer fires
  std::shared_ptr<char> alive_ = std::make_shared<char>();  // handlers that are late see that it went
};

}  // namespace patchbay::egress
