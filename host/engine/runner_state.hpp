// Of runner.cpp and runner_results.cpp only.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "engine/runner.hpp"

namespace patchbay::engine {

struct Runner::Run {
  NewRun start;
  Timestamp started;
  bool interrupted = false;  // its host died: until its first nodes have been launched again
  std::vector<NodeRun> nodes;
  std::vector<JsonView> outputs;
  std::vector<std::shared_ptr<const JsonDocument>> documents;  // that the outputs point into
  std::vector<StepRow> unsaved;                                // decided since the last save
  std::vector<DeadLetter> letters;                             // likewise
  std::string error;                                           // the first failure that ends the run
  std::size_t work = flow::kWork;                              // what is left for its conditions, all together
  int saving = 0;                                              // results on their way to the store
  bool unstored = false;                                       // the store has refused it, which was logged
  bool left = false;                                           // not in memory any more: what comes for it is dropped

  const flow::Flow& flow() const { return *start.flow->flow; }
  [[nodiscard]] bool any(std::initializer_list<NodeState> states) const {
    return std::any_of(nodes.begin(), nodes.end(), [&](const NodeRun& node) {
      return std::find(states.begin(), states.end(), node.state) != states.end();
    });
  }
};

// A step of which nobody knows whether it was done.
inline constexpr std::string_view kUnknown = "the host stopped while the provider was being asked: nobody knows whether it was done";

}  // namespace patchbay::engine
