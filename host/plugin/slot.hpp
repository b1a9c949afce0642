#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/loop.hpp"
#include "plugin/module.hpp"
#include "plugin/worker.hpp"

namespace patchbay::plugin {

// One build of a provider, loaded and at work.
struct Generation {
  Module module;
  std::unique_ptr<Worker> worker;  // goes before its module
};

// A provider as the others hold on to it, whatever build of it is loaded: tasks begin on the newest generation, and end
// on the one that began them. On the loop's thread only, unless it says otherwise.
class Slot : public Provider {
 public:
  // Tasks of a replaced generation have so long; then they end as unavailable, and are run again by who began them.
  Slot(Loop& loop, std::chrono::milliseconds drain_limit) : loop_(loop), drain_limit_(drain_limit) {}
  ~Slot() override;

  TaskId begin(Call call, Done done) override;
  void cancel(TaskId task) override;

  // For the first task of a generation, so that the ids of all generations differ.
  [[nodiscard]] std::uint64_t next_first_id() { return (std::uint64_t{++numbers_} << kIdBits) + 1; }
  // The new one is at work when this returns; the old one drains.
  void replace(std::shared_ptr<Generation> next);
  void shut_down();  // cancels and destroys; what is begun after it ends as unavailable

  // Any thread.
  [[nodiscard]] std::shared_ptr<const Manifest> manifest() const;
  [[nodiscard]] std::size_t tasks() const;    // under way, in all generations
  [[nodiscard]] std::size_t draining() const;  // generations
  [[nodiscard]] std::string_view process() const;  // as Worker says it, of the newest

 private:
  static constexpr unsigned kIdBits = 40;

  void drain(const std::shared_ptr<Generation>& old);
  void forget(const std::shared_ptr<Generation>& old);

  Loop& loop_;
  const std::chrono::milliseconds drain_limit_;
  std::uint32_t numbers_ = 0;
  mutable std::mutex mutex_;  // guards what follows against other threads; the loop alone writes
  std::shared_ptr<Generation> current_;
  std::vector<std::shared_ptr<Generation>> draining_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace patchbay::plugin
