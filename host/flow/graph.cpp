#include "flow/graph.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "flow/nearest.hpp"

namespace patchbay::flow {
namespace {

class Builder {
 public:
  Builder(const Draft& draft, std::vector<Problem>& problems)
      : nodes_(draft.nodes), problems_(problems), on_cycle_(draft.nodes.size()) {}

  Graph run() {
    check_ids();
    graph_.sources.resize(nodes_.size());
    for (std::size_t i = 0; i < nodes_.size(); ++i) connect(i);
    find_cycles();
    find_unreachable();
    sort();
    for (std::size_t i = 0; i < nodes_.size(); ++i) graph_.runs_before.push_back(before(i));
    return std::move(graph_);
  }

 private:
  void report(std::string pointer, std::string code, std::string message) {
    problems_.push_back({std::move(pointer), std::move(code), std::move(message)});
  }

  void check_ids() {
    for (const auto& node : nodes_) {
      if (node.id.empty()) continue;
      if (std::ranges::find(ids_, node.id) != ids_.end()) {
        report(node.pointer + "/id", "duplicate_id", fmt::format("there are two nodes '{}'", node.id));
      }
      ids_.push_back(node.id);
    }
  }

  void connect(std::size_t target) {
    for (const auto& edge : nodes_[target].after) {
      const auto found = std::ranges::find(nodes_, edge.node, &DraftNode::id);
      if (edge.node.empty() || found == nodes_.end()) {
        report(edge.pointer, "unknown_node",
               fmt::format("there is no node '{}'{}", edge.node, did_you_mean(edge.node, ids_)));
        broken_.push_back(target);
        continue;
      }
      const auto port = port_of(*found, edge);
      if (!port) broken_.push_back(target);
      graph_.sources[target].push_back(
          {static_cast<std::size_t>(found - nodes_.begin()), port.value_or(""), edge.pointer});
    }
  }

  std::optional<std::string> port_of(const DraftNode& source, const DraftEdge& edge) {
    if (source.kind == NodeKind::condition) {
      if (edge.port == "true" || edge.port == "false") return edge.port;
      report(edge.pointer, "unknown_port", fmt::format("'{0}' is an if: say '{0}:true' or '{0}:false'", source.id));
      return std::nullopt;
    }
    if (!edge.port || edge.port == "done" || !source.kind) return "";
    if (edge.port == "error" && source.kind == NodeKind::reaction) {
      if (source.on_error == OnError::port) return edge.port;
      report(edge.pointer, "unknown_port",
             fmt::format("'{}' has a port 'error' only when its on_error is 'port'", source.id));
      return std::nullopt;
    }
    const auto hint =
        did_you_mean(*edge.port, source.kind == NodeKind::reaction ? std::vector<std::string>{"done", "error"}
                                                                   : std::vector<std::string>{"done"});
    report(edge.pointer, "unknown_port", fmt::format("'{}' has no port '{}'{}", source.id, *edge.port, hint));
    return std::nullopt;
  }

  // Depth first against the edges. A source that is still being visited closes a circle.
  void find_cycles() {
    std::vector<std::size_t> path;
    std::vector<bool> done(nodes_.size());
    for (std::size_t i = 0; i < nodes_.size(); ++i) visit(i, path, done);
  }

  void visit(std::size_t node, std::vector<std::size_t>& path, std::vector<bool>& done) {
    if (done[node]) return;
    path.push_back(node);
    for (const auto& source : graph_.sources[node]) {
      const auto known = std::ranges::find(path, source.node);
      if (known == path.end()) {
        visit(source.node, path, done);
        continue;
      }
      // path goes from later to earlier; what is told goes the way the flow runs.
      auto told = nodes_[source.node].id;
      for (auto step = path.end(); step != known;) {
        --step;
        on_cycle_[*step] = true;
        told.append(" -> ").append(nodes_[*step].id);
      }
      report(source.pointer, "cycle", fmt::format("the nodes wait for each other: {}", told));
    }
    path.pop_back();
    done[node] = true;
  }

  void find_unreachable() {
    std::vector<bool> reached(nodes_.size());
    bool trigger = false;
    bool unknown = false;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      reached[i] = nodes_[i].kind == NodeKind::trigger;
      trigger = trigger || reached[i];
      unknown = unknown || !nodes_[i].kind;
    }
    if (!trigger) {
      if (!unknown && !nodes_.empty()) report("/nodes", "no_trigger", "a flow needs a trigger to begin with");
      return;
    }
    for (bool grew = true; grew;) {
      grew = false;
      for (std::size_t i = 0; i < nodes_.size(); ++i) {
        const auto from_reached = [&](const auto& source) { return reached[source.node]; };
        if (reached[i] || std::ranges::none_of(graph_.sources[i], from_reached)) continue;
        reached[i] = grew = true;
      }
    }
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      const auto& node = nodes_[i];
      const bool told = on_cycle_[i] || node.has_after_problem || std::ranges::find(broken_, i) != broken_.end();
      if (reached[i] || told || !node.kind) continue;
      report(node.pointer, "unreachable", fmt::format("no trigger leads to '{}'", node.id));
    }
  }

  // What is on a circle comes last, in its written order: it is refused anyway.
  void sort() {
    std::vector<bool> placed(nodes_.size());
    for (bool by_force = false; graph_.order.size() < nodes_.size();) {
      bool grew = false;
      for (std::size_t i = 0; i < nodes_.size() && !grew; ++i) {
        const auto is_placed = [&](const auto& source) { return placed[source.node]; };
        if (placed[i] || (!by_force && !std::ranges::all_of(graph_.sources[i], is_placed))) continue;
        graph_.order.push_back(i);
        placed[i] = grew = true;
      }
      by_force = !grew;
    }
  }

  std::vector<bool> before(std::size_t node) const {
    std::vector<bool> found(nodes_.size());
    std::vector<std::size_t> open{node};
    while (!open.empty()) {
      const auto next = open.back();
      open.pop_back();
      for (const auto& source : graph_.sources[next]) {
        if (found[source.node]) continue;
        found[source.node] = true;
        open.push_back(source.node);
      }
    }
    return found;
  }

  const std::vector<DraftNode>& nodes_;
  std::vector<Problem>& problems_;
  std::vector<std::string> ids_;
  std::vector<bool> on_cycle_;
  std::vector<std::size_t> broken_;  // nodes with an edge that was refused
  Graph graph_;
};

}  // namespace

Graph Graph::build(const Draft& draft, std::vector<Problem>& problems) { return Builder(draft, problems).run(); }

}  // namespace patchbay::flow
