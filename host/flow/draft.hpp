#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.hpp"
#include "flow/flow.hpp"

namespace patchbay::flow {

struct DraftEdge {
  std::string node;  // as it was written: "urgent:true" is node "urgent", port "true"
  std::optional<std::string> port;
  std::string pointer;
};

// A node as it was written, in form but not yet in meaning: names may name nothing.
struct DraftNode {
  std::string pointer;  // "/nodes/2"
  std::string id;       // empty: it has none that can be used
  std::optional<NodeKind> kind;
  std::string operation;
  std::optional<std::string> condition;  // the expression, without its braces
  std::size_t condition_position = 0;    // of its first byte in the string
  std::string connection;
  JsonView params;  // absent: none were given
  std::vector<DraftEdge> after;
  bool has_after_problem = false;
  Retry retry;
  std::chrono::milliseconds timeout{30'000};
  OnError on_error = OnError::stop;
  OnUnknown on_unknown = OnUnknown::repeat;
};

struct Draft {
  std::shared_ptr<const JsonDocument> document;  // holds the params
  std::string name;
  Order order = Order::none;
  std::optional<std::string> key;  // the expression, without its braces
  std::size_t key_position = 0;    // of its first byte in the string
  int concurrency = 0;
  std::vector<DraftNode> nodes;
};

// Reads the form of a flow. What can be read is there even when there are problems, so that the rest is checked too.
[[nodiscard]] Draft read_draft(std::string_view json, const FlowLimits& limits, std::vector<Problem>& problems);

}  // namespace patchbay::flow
