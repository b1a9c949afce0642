#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flow/catalogue.hpp"
#include "flow/expression.hpp"
#include "flow/template.hpp"

namespace patchbay::flow {

enum class NodeKind { trigger, reaction, condition };

struct Retry {
  int attempts = 5;  // in all
  std::chrono::milliseconds first{1000};
  std::chrono::milliseconds longest{60'000};
};
enum class OnError { stop, next, port };  // "stop" (default), "continue", "port"
// When the host stopped while the provider was being asked: ask again, or leave it to a person.
enum class OnUnknown { repeat, park };
// In which order the runs of a flow are carried out: as they come; those of one key one after another; all of them.
enum class Order { none, per_key, strict };

// An edge: runs after node, on that port ("" where the node has one port: "done"; "true"/"false" of a condition;
// "error" of a reaction with on_error "port").
struct Edge {
  std::size_t node;
  std::string port;
};

struct Node {
  std::string id;
  NodeKind kind;
  std::string operation;   // trigger, reaction: "github.issues"
  std::string connection;  // its name; empty: none
  std::vector<Edge> after;
  std::string params_json;              // trigger: constant
  Template params;                      // reaction
  std::optional<Expression> condition;  // condition
  Retry retry;
  std::chrono::milliseconds timeout{30'000};
  OnError on_error = OnError::stop;
  OnUnknown on_unknown = OnUnknown::repeat;
};

// A flow that was checked and can run. nodes is in an order in which each stands behind all it comes after.
// Immutable, any thread.
struct Flow {
  std::string name;
  std::vector<Node> nodes;
  std::vector<std::string> names;  // nodes[i].id, as Scope wants it
  Order order = Order::none;
  std::optional<Expression> key;  // of Order::per_key, over the trigger's output
  int concurrency = 0;            // runs at a time; 0: as many as the host likes
  [[nodiscard]] const Node* find(std::string_view id) const;
  // Of an event of that trigger, for Order::per_key: those whose text is the same come one after another. Where the key
  // cannot be worked out it is empty.
  [[nodiscard]] std::string key_of(std::string_view trigger, const JsonView& data) const;
};

// Limits of what a user may save.
struct FlowLimits {
  std::size_t nodes = 100;
  std::size_t bytes = 256 << 10;
};

// Checks and compiles the JSON of a flow (see docs/flows.md). Gives all problems at once, or the flow.
// Checked: JSON form, unknown members, ids, triggers, reactions, parameters against the catalogue's schemas (constant
// parts always; parts with expressions as far as their type is known), edges to unknown nodes or ports, cycles (with
// the path), unreachable nodes, expressions, names that an expression reads but that do not run before it.
[[nodiscard]] std::expected<std::shared_ptr<const Flow>, std::vector<Problem>> compile(std::string_view json,
                                                                                       const Catalogue& catalogue,
                                                                                       const FlowLimits& limits = {});

}  // namespace patchbay::flow
