#include "core/loop.hpp"

#include <atomic>
#include <unordered_map>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace patchbay {

struct Loop::Impl {
  boost::asio::io_context context{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{context.get_executor()};
  std::atomic<std::uint64_t> next_timer{1};
  std::unordered_map<std::uint64_t, boost::asio::steady_timer> timers;  // on the loop only
};

Loop::Loop() : impl_(std::make_unique<Impl>()) {}
Loop::~Loop() = default;

void Loop::post(Task task) { boost::asio::post(impl_->context, std::move(task)); }

std::uint64_t Loop::after(std::chrono::milliseconds delay, Task task) {
  const auto number = impl_->next_timer++;
  const auto due = std::chrono::steady_clock::now() + delay;
  // The table of timers belongs to the loop, so also a caller on another thread gets its timer set there.
  auto arm = [this, number, due, task = std::move(task)]() mutable {
    auto [entry, added] = impl_->timers.try_emplace(number, impl_->context, due);
    entry->second.async_wait([this, number, task = std::move(task)](const boost::system::error_code& error) mutable {
      if (error) return;
      impl_->timers.erase(number);
      task();
    });
  };
  if (impl_->context.get_executor().running_in_this_thread()) {
    arm();
  } else {
    boost::asio::post(impl_->context, std::move(arm));
  }
  return number;
}

void Loop::cancel(std::uint64_t timer) { impl_->timers.erase(timer); }

void Loop::run() { impl_->context.run(); }
void Loop::stop() { impl_->context.stop(); }

std::size_t Loop::run_ready() {
  impl_->context.restart();
  return impl_->context.poll();
}

bool Loop::run_until(const std::function<bool()>& done, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  impl_->context.restart();
  while (!done()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    impl_->context.run_one_for(std::chrono::milliseconds{20});
  }
  return true;
}

boost::asio::io_context& Loop::context() { return impl_->context; }

}  // namespace patchbay
