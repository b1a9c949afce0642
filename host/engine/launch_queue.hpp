#pragma once

#include <cstddef>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "core/id.hpp"

namespace patchbay::engine {

// Who begins next, when there are fewer places than reactions that wait. Providers take turns, and a provider's flows do.
// One that is slow cannot take all places: a provider may hold kProviderShare times as many as are free, a flow
// kFlowShare times as many, so that some stay free however many wait (dynamic thresholds: Choudhury and Hahne, 1998).
template <class Launch>
class LaunchQueue {
 public:
  explicit LaunchQueue(std::size_t places) : free_(places) {}

  void push(std::string_view provider, FlowId flow, Launch launch) {
    auto& lane = providers_[std::string(provider)];
    auto& queue = lane.flows[flow];
    if (queue.waiting.empty()) {
      if (lane.turns.empty()) turns_.push_back(std::string(provider));
      lane.turns.push_back(flow);
    }
    queue.waiting.push_back(std::move(launch));
    ++size_;
  }

  // The next one, which holds a place until done() is called with what it was pushed with. None: none may begin now.
  std::optional<Launch> pop() {
    if (free_ == 0) return std::nullopt;
    for (std::size_t left = turns_.size(); left > 0; --left) {
      auto name = std::move(turns_.front());
      turns_.pop_front();
      auto& provider = providers_[name];
      auto found = provider.running <= kProviderShare * free_ ? pop_from(provider) : std::nullopt;
      if (!provider.turns.empty()) turns_.push_back(std::move(name));
      if (found) return found;
    }
    return std::nullopt;
  }

  void done(std::string_view provider, FlowId flow) {
    ++free_;
    const auto found = providers_.find(std::string(provider));
    auto& lane = found->second;
    --lane.running;
    const auto queue = lane.flows.find(flow);
    --queue->second.running;
    if (queue->second.running == 0 && queue->second.waiting.empty()) lane.flows.erase(queue);
    if (lane.flows.empty()) providers_.erase(found);
  }

  [[nodiscard]] std::size_t size() const { return size_; }  // that wait
  [[nodiscard]] std::size_t free() const { return free_; }

 private:
  static constexpr std::size_t kProviderShare = 8;
  static constexpr std::size_t kFlowShare = 4;

  struct Queue {
    std::deque<Launch> waiting;
    std::size_t running = 0;
  };
  struct Provider {
    std::unordered_map<FlowId, Queue> flows;
    std::deque<FlowId> turns;  // of those that wait
    std::size_t running = 0;
  };

  std::optional<Launch> pop_from(Provider& provider) {
    for (std::size_t left = provider.turns.size(); left > 0; --left) {
      const auto flow = provider.turns.front();
      provider.turns.pop_front();
      auto& queue = provider.flows[flow];
      if (queue.running > kFlowShare * free_) {
        provider.turns.push_back(flow);
        continue;
      }
      std::optional<Launch> launch(std::move(queue.waiting.front()));
      queue.waiting.pop_front();
      if (!queue.waiting.empty()) provider.turns.push_back(flow);
      ++queue.running;
      ++provider.running;
      --free_;
      --size_;
      return launch;
    }
    return std::nullopt;
  }

  std::unordered_map<std::string, Provider> providers_;
  std::deque<std::string> turns_;  // of providers for which something waits
  std::size_t free_;
  std::size_t size_ = 0;
};

}  // namespace patchbay::engine
