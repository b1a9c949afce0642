#pragma once

#include <memory>

#include "core/executor.hpp"

namespace boost::asio {
class io_context;
}

namespace patchbay {

// The event loop of the process: one thread in run(), on which the gateway, the plugins, the engine and the HTTP client
// live. What is theirs is touched on this thread only; others post() to it.
class Loop : public Executor {
 public:
  Loop();
  ~Loop() override;

  void post(Task task) override;
  std::uint64_t after(std::chrono::milliseconds delay, Task task) override;
  void cancel(std::uint64_t timer) override;

  void run();   // until stop(); the calling thread becomes the loop's
  void stop();  // any thread; tasks not yet begun are dropped when the loop is destroyed
  // Runs what is ready, without waiting. For tests. Returns the number of handlers run.
  std::size_t run_ready();
  // Runs until done() or for at most limit; false when the limit came first. For tests and command-line programs.
  bool run_until(const std::function<bool()>& done, std::chrono::milliseconds limit);

  [[nodiscard]] boost::asio::io_context& context();  // for those who own sockets

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace patchbay
