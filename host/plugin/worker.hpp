#pragma once

#include <string_view>

#include "core/executor.hpp"
#include "plugin/provider.hpp"

namespace patchbay::plugin {

// What is at work for one build of a plugin: its instance, here or in a process of its own.
class Worker : public Provider {
 public:
  [[nodiscard]] virtual std::size_t tasks() const = 0;  // under way; any thread
  // Where it runs: "host", or, in a process of its own, "own", "starting", "quarantined". Any thread.
  [[nodiscard]] virtual std::string_view process() const = 0;
  // No task is begun after this. when_idle is posted on the loop once those under way have ended.
  virtual void retire(Task when_idle) = 0;
  // Ends every task with this error.
  virtual void cancel_all(const Error& reason) = 0;
};

}  // namespace patchbay::plugin
