#pragma once

#include "core/executor.hpp"
#include "plugin/provider.hpp"

namespace patchbay::plugin {

// What is at work for one build of a plugin: its instance, here or in a process of its own.
class Worker : public Provider {
 public:
  [[nodiscard]] virtual std::size_t tasks() const = 0;  // under way; any thread
  // No task is begun after this. when_idle is posted on the loop once those under way have ended.
  virtual void retire(Task when_idle) = 0;
  // Ends every task with this error.
  virtual void cancel_all(const Error& reason) = 0;
};

}  // namespace patchbay::plugin
