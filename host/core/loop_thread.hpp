#pragma once

#include <thread>

#include "core/loop.hpp"

namespace patchbay {

// A loop that turns on a thread of its own, for work that may block. Its end waits for the task under way and drops the
// others.
class LoopThread {
 public:
  LoopThread() : thread_([this] { loop_.run(); }) {}
  ~LoopThread() {
    loop_.stop();
    thread_.join();
  }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  [[nodiscard]] Loop& loop() { return loop_; }

 private:
  Loop loop_;
  std::thread thread_;
};

}  // namespace patchbay
