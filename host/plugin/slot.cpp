#include "plugin/slot.hpp"

#include <utility>

#include "core/log.hpp"

namespace patchbay::plugin {

Slot::~Slot() {
  shut_down();
  *alive_ = false;
}

Slot::TaskId Slot::begin(Call call, Done done) {
  if (current_) return current_->worker->begin(std::move(call), std::move(done));
  Outcome outcome;
  outcome.error = Error{Errc::unavailable, "the plugin is shut down"};
  done(std::move(outcome));
  return 0;
}

void Slot::cancel(TaskId task) {
  if (current_) current_->worker->cancel(task);
  const auto old = draining_;  // a cancelled task may be the last one of its generation
  for (const auto& generation : old) generation->worker->cancel(task);
}

void Slot::replace(std::shared_ptr<Generation> next) {
  std::shared_ptr<Generation> old;
  {
    const std::lock_guard lock(mutex_);
    old = std::exchange(current_, std::move(next));
    if (old) draining_.push_back(old);
  }
  if (old) drain(old);
}

void Slot::drain(const std::shared_ptr<Generation>& old) {
  old->worker->retire([this, alive = alive_, old] {
    if (*alive) forget(old);
  });
  loop_.after(drain_limit_, [alive = alive_, weak = std::weak_ptr(old)] {
    const auto late = weak.lock();
    if (!*alive || !late) return;
    log::warn("plugin", "{}: {} tasks of a replaced build are ended", late->module.manifest->id, late->worker->tasks());
    late->worker->cancel_all({Errc::unavailable, "its plugin was replaced and it did not end in time"});
  });
}

// Posted, so no code of the plugin is on the stack.
void Slot::forget(const std::shared_ptr<Generation>& old) {
  const std::lock_guard lock(mutex_);
  std::erase(draining_, old);
}

void Slot::shut_down() {
  std::shared_ptr<Generation> last;
  std::vector<std::shared_ptr<Generation>> old;
  {
    const std::lock_guard lock(mutex_);
    last = std::exchange(current_, nullptr);
    old = std::exchange(draining_, {});
  }
  for (const auto& generation : old) generation->worker.reset();
  if (last) last->worker.reset();
}

std::shared_ptr<const Manifest> Slot::manifest() const {
  const std::lock_guard lock(mutex_);
  return current_ ? current_->module.manifest : nullptr;
}

std::size_t Slot::tasks() const {
  const std::lock_guard lock(mutex_);
  std::size_t all = current_ ? current_->worker->tasks() : 0;
  for (const auto& generation : draining_) all += generation->worker->tasks();
  return all;
}

std::string_view Slot::process() const {
  const std::lock_guard lock(mutex_);
  return current_ ? current_->worker->process() : "";
}

std::size_t Slot::draining() const {
  const std::lock_guard lock(mutex_);
  return draining_.size();
}

}  // namespace patchbay::plugin
