#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace patchbay {

using Task = std::move_only_function<void()>;

// Where work runs. One Executor runs one task at a time, so what only its tasks touch needs no mutex.
class Executor {
 public:
  virtual ~Executor() = default;

  // Runs task later, in the order of the posts. Any thread. A task must not throw.
  virtual void post(Task task) = 0;

  // Runs task once, no earlier than after delay. Returns a number for cancel(), never 0. Any thread.
  virtual std::uint64_t after(std::chrono::milliseconds delay, Task task) = 0;

  // The task of after() will not run, unless it has begun. Unknown numbers are ignored. On the executor only.
  virtual void cancel(std::uint64_t timer) = 0;
};

}  // namespace patchbay
