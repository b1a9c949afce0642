#include "flow/draft.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "flow/jsonata/text.hpp"
#include "flow/nearest.hpp"
#include "flow/template_text.hpp"

namespace patchbay::flow {
namespace {

using Names = std::vector<std::string>;

constexpr std::size_t kLongestId = 64;
constexpr std::size_t kLongestName = 200;
constexpr std::size_t kLongestDescription = 10'000;
constexpr std::int64_t kMostAttempts = 100;
constexpr std::int64_t kLongestPauseMs = 24 * 3600 * 1000;
constexpr std::int64_t kLongestTimeoutMs = 600'000;

constexpr std::int64_t kMostAtOnce = 10'000;

const Names kFlowMembers{"name", "description", "order", "key", "concurrency", "nodes", "ui"};
const Names kRetryMembers{"attempts", "first_ms", "longest_ms"};
const Names kNodeMembers{"id",    "trigger", "reaction",   "if",       "connection", "params",
                         "after", "retry",   "timeout_ms", "on_error", "on_unknown", "ui"};

// "after" of a trigger is told where edges are checked.
const Names& members_of(std::optional<NodeKind> kind) {
  static const Names kTrigger{"id", "trigger", "connection", "params", "after", "ui"};
  static const Names kReaction{"id",    "reaction",   "connection", "params", "after",
                               "retry", "timeout_ms", "on_error",   "on_unknown", "ui"};
  static const Names kCondition{"id", "if", "after", "ui"};
  if (!kind) return kNodeMembers;
  return *kind == NodeKind::trigger ? kTrigger : *kind == NodeKind::reaction ? kReaction : kCondition;
}

std::string_view name_of(std::optional<NodeKind> kind) {
  if (!kind) return "a node";
  return *kind == NodeKind::trigger ? "a trigger" : *kind == NodeKind::reaction ? "a reaction" : "an if";
}

bool is_id(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return !text.empty() && text.size() <= kLongestId && letter(text[0]) &&
         std::ranges::all_of(text, [&](char c) { return letter(c) || digit(c); });
}

class Reader {
 public:
  Reader(const FlowLimits& limits, std::vector<Problem>& problems) : limits_(limits), problems_(problems) {}

  void read(const JsonView& root, Draft& draft) {
    if (root.type() != JsonType::object) return report("", "type", "a flow is an object");
    check_members(root, "", kFlowMembers, "a flow");
    if (!root["name"]) {
      report("", "missing", "a flow needs a name");
    } else if (const auto name = text(root, "name", "", kLongestName)) {
      draft.name = *name;
      if (name->find_first_not_of(" \t\r\n") == std::string::npos) report("/name", "value", "the name is empty");
    }
    if (root["description"]) text(root, "description", "", kLongestDescription);
    read_order(root, draft);
    check_ui(root, "");
    const auto nodes = root["nodes"];
    if (!nodes) return report("", "missing", "a flow needs nodes");
    if (nodes.type() != JsonType::array) return report("/nodes", "type", "nodes is an array");
    const auto count = nodes.size();
    if (count == 0) return report("/nodes", "value", "a flow needs at least one node");
    if (count > limits_.nodes) {
      return report("/nodes", "limit",
                    fmt::format("a flow has at most {} nodes, this one has {}", limits_.nodes, count));
    }
    draft.nodes.reserve(count);
    nodes.for_each_element([&](JsonView node) { draft.nodes.push_back(read_node(node, draft.nodes.size())); });
  }

 private:
  void report(std::string pointer, std::string code, std::string message) {
    problems_.push_back({std::move(pointer), std::move(code), std::move(message)});
  }

  void check_members(const JsonView& object, const std::string& pointer, const Names& known, std::string_view what) {
    Names seen;
    object.for_each_member([&](std::string_view key, JsonView) {
      if (std::ranges::find(seen, key) != seen.end()) {
        report(pointer + pointer_step(key), "duplicate_member", fmt::format("'{}' stands here twice", key));
      } else if (std::ranges::find(known, key) == known.end()) {
        report(pointer + pointer_step(key), "unknown_member",
               fmt::format("{} has no '{}'{}", what, key, did_you_mean(key, known)));
      }
      seen.emplace_back(key);
    });
  }

  void check_ui(const JsonView& object, const std::string& pointer) {
    if (object["ui"] && object["ui"].type() != JsonType::object) report(pointer + "/ui", "type", "ui is an object");
  }

  std::optional<std::string> text(const JsonView& object, std::string_view key, const std::string& pointer,
                                  std::size_t longest) {
    const auto value = object[key];
    const auto place = pointer + pointer_step(key);
    if (value.type() != JsonType::string || !value) {
      report(place, "type", fmt::format("{} is a string", key));
      return std::nullopt;
    }
    if (value.string().empty() && key != "description") {
      report(place, "value", fmt::format("{} is empty", key));
      return std::nullopt;
    }
    if (jsonata::code_points(value.string()) > longest) {
      report(place, "limit", fmt::format("{} has at most {} characters", key, longest));
      return std::nullopt;
    }
    return std::string(value.string());
  }

  std::optional<std::int64_t> integer(const JsonView& object, std::string_view key, const std::string& pointer,
                                      std::int64_t least, std::int64_t most) {
    const auto value = object[key];
    if (!value) return std::nullopt;
    const auto place = pointer + pointer_step(key);
    if (value.type() != JsonType::integer) {
      report(place, "type", fmt::format("{} is a whole number", key));
      return std::nullopt;
    }
    if (value.integer() < least || value.integer() > most) {
      report(place, "value", fmt::format("{} is between {} and {}", key, least, most));
      return std::nullopt;
    }
    return value.integer();
  }

  DraftNode read_node(const JsonView& value, std::size_t index) {
    DraftNode node;
    node.pointer = "/nodes" + pointer_step(index);
    if (value.type() != JsonType::object) {
      report(node.pointer, "type", "a node is an object");
      return node;
    }
    node.kind = read_kind(value, node.pointer);
    check_members(value, node.pointer, members_of(node.kind), name_of(node.kind));
    check_ui(value, node.pointer);
    read_id(value, node);
    if (node.kind == NodeKind::trigger) node.operation = text(value, "trigger", node.pointer, 200).value_or("");
    if (node.kind == NodeKind::reaction) node.operation = text(value, "reaction", node.pointer, 200).value_or("");
    if (node.kind == NodeKind::condition) read_condition(value["if"], node);
    if (node.kind != NodeKind::condition) {
      if (value["connection"]) node.connection = text(value, "connection", node.pointer, 200).value_or("?");
      node.params = value["params"];
      if (node.params && node.params.type() != JsonType::object) {
        report(node.pointer + "/params", "type", "params is an object");
      }
    }
    read_after(value["after"], node);
    if (node.kind == NodeKind::reaction) read_failure_rules(value, node);
    return node;
  }

  std::optional<NodeKind> read_kind(const JsonView& value, const std::string& pointer) {
    std::optional<NodeKind> kind;
    int kinds = 0;
    const auto note = [&](std::string_view key, NodeKind found) {
      if (!value[key]) return;
      kind = found;
      ++kinds;
    };
    note("trigger", NodeKind::trigger);
    note("reaction", NodeKind::reaction);
    note("if", NodeKind::condition);
    if (kinds == 1) return kind;
    report(pointer, kinds == 0 ? "missing" : "ambiguous",
           "a node has one of 'trigger', 'reaction' and 'if', which says what it is");
    return std::nullopt;
  }

  void read_id(const JsonView& value, DraftNode& node) {
    if (!value["id"]) return report(node.pointer, "missing", "a node needs an id");
    const auto id = text(value, "id", node.pointer, 1'000);
    if (!id) return;
    if (!is_id(*id)) {
      return report(node.pointer + "/id", "invalid_id",
                    "an id is a letter or _ and then letters, digits and _, at most 64 in all");
    }
    node.id = *id;
  }

  void read_condition(const JsonView& value, DraftNode& node) {
    node.condition = one_expression(value, node.pointer + "/if", "an if", node.condition_position);
  }

  std::optional<std::string> one_expression(const JsonView& value, const std::string& place, std::string_view what,
                                            std::size_t& position) {
    const auto refuse = [&](std::string code, std::string message) {
      report(place, std::move(code), std::move(message));
      return std::nullopt;
    };
    if (value.type() != JsonType::string) {
      return refuse("type", fmt::format("{} is a string with one expression: \"{{{{ ... }}}}\"", what));
    }
    auto parts = split_text(value.string());
    if (!parts) return refuse("expression", fmt::format("{} (byte {})", parts.error().message, parts.error().position));
    if (!is_typed(*parts)) return refuse("expression", fmt::format("{} is one expression: \"{{{{ ... }}}}\"", what));
    position = parts->front().position;
    return std::move(parts->front().text);
  }

  // What stands there, as its place among the words; none: it is not there, or wrong.
  std::optional<std::size_t> word(const JsonView& object, std::string_view key, const std::string& pointer, const Names& words) {
    const auto value = object[key];
    if (!value) return std::nullopt;
    const auto known = std::ranges::find(words, value.string());
    if (value.type() == JsonType::string && known != words.end()) return static_cast<std::size_t>(known - words.begin());
    std::string list;
    for (std::size_t i = 0; i < words.size(); ++i) {
      list += fmt::format("{}'{}'", i == 0 ? "" : i + 1 == words.size() ? " or " : ", ", words[i]);
    }
    report(pointer + pointer_step(key), "value", fmt::format("{} is {}{}", key, list, did_you_mean(value.string(), words)));
    return std::nullopt;
  }

  void read_order(const JsonView& root, Draft& draft) {
    static const Names kOrders{"none", "per_key", "strict"};
    if (const auto order = word(root, "order", "", kOrders)) draft.order = static_cast<Order>(*order);
    draft.concurrency = static_cast<int>(integer(root, "concurrency", "", 1, kMostAtOnce).value_or(0));
    if (root["key"]) draft.key = one_expression(root["key"], "/key", "a key", draft.key_position);
    if (draft.order == Order::per_key && !root["key"]) report("", "missing", "order 'per_key' needs 'key': \"{{ ... }}\"");
    if (draft.order != Order::per_key && root["key"]) report("/key", "ambiguous", "a key is for order 'per_key'");
    if (draft.order != Order::none && draft.concurrency > 0) {
      report("/concurrency", "ambiguous", "with an order one run goes at a time: leave out concurrency");
    }
  }

  void read_after(const JsonView& value, DraftNode& node) {
    const auto place = node.pointer + "/after";
    const auto refuse = [&](std::string pointer, std::string code, std::string message) {
      node.has_after_problem = true;
      report(std::move(pointer), std::move(code), std::move(message));
    };
    if (node.kind == NodeKind::trigger) {
      if (value) refuse(place, "after_trigger", "a trigger begins a run: it comes after nothing");
      return;
    }
    if (!value) {
      if (node.kind) refuse(node.pointer, "missing_after", fmt::format("{} needs 'after'", name_of(node.kind)));
      return;
    }
    if (value.type() != JsonType::array) return refuse(place, "type", "after is an array of node ids");
    if (value.size() == 0) return refuse(place, "missing_after", "after names no node");
    if (value.size() > 2 * limits_.nodes) return refuse(place, "limit", "after names too many nodes");
    std::size_t index = 0;
    std::vector<std::string_view> seen;
    value.for_each_element([&](JsonView item) {
      const auto pointer = place + pointer_step(index++);
      if (item.type() != JsonType::string) return refuse(pointer, "type", "after is an array of node ids");
      if (std::ranges::find(seen, item.string()) != seen.end()) {
        return refuse(pointer, "duplicate_edge", fmt::format("'{}' stands here twice", item.string()));
      }
      seen.push_back(item.string());
      const auto colon = item.string().find(':');
      DraftEdge edge{std::string(item.string().substr(0, colon)), std::nullopt, pointer};
      if (colon != std::string_view::npos) edge.port = item.string().substr(colon + 1);
      node.after.push_back(std::move(edge));
    });
  }

  void read_failure_rules(const JsonView& value, DraftNode& node) {
    if (const auto timeout = integer(value, "timeout_ms", node.pointer, 1, kLongestTimeoutMs)) {
      node.timeout = std::chrono::milliseconds(*timeout);
    }
    read_retry(value["retry"], node);
    static const Names kRules{"stop", "continue", "port"};
    if (const auto rule = word(value, "on_error", node.pointer, kRules)) node.on_error = static_cast<OnError>(*rule);
    static const Names kUnknown{"repeat", "park"};
    if (const auto rule = word(value, "on_unknown", node.pointer, kUnknown)) node.on_unknown = static_cast<OnUnknown>(*rule);
  }

  void read_retry(const JsonView& value, DraftNode& node) {
    if (!value) return;
    const auto place = node.pointer + "/retry";
    if (value.type() != JsonType::object) return report(place, "type", "retry is an object");
    check_members(value, place, kRetryMembers, "retry");
    if (const auto attempts = integer(value, "attempts", place, 1, kMostAttempts)) {
      node.retry.attempts = static_cast<int>(*attempts);
    }
    if (const auto first = integer(value, "first_ms", place, 0, kLongestPauseMs)) {
      node.retry.first = std::chrono::milliseconds(*first);
      node.retry.longest = std::max(node.retry.longest, node.retry.first);
    }
    if (const auto longest = integer(value, "longest_ms", place, 0, kLongestPauseMs)) {
      node.retry.longest = std::chrono::milliseconds(*longest);
      if (value["first_ms"] && node.retry.longest < node.retry.first) {
        report(place + "/longest_ms", "value", "longest_ms is not less than first_ms");
      }
      node.retry.first = std::min(node.retry.first, node.retry.longest);
    }
  }

  const FlowLimits& limits_;
  std::vector<Problem>& problems_;
};

}  // namespace

Draft read_draft(std::string_view json, const FlowLimits& limits, std::vector<Problem>& problems) {
  Draft draft;
  if (json.size() > limits.bytes) {
    problems.push_back({"", "limit", fmt::format("a flow has at most {} bytes", limits.bytes)});
    return draft;
  }
  auto document = JsonDocument::parse(json);
  if (!document) {
    problems.push_back({"", "json", document.error().message});
    return draft;
  }
  draft.document = std::move(*document);
  Reader(limits, problems).read(draft.document->root(), draft);
  return draft;
}

}  // namespace patchbay::flow
