#include "engine/replay.hpp"

#include <optional>
#include <set>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace patchbay::engine {
namespace {

using store::Row;
using store::Transaction;

struct Original {
  std::string flow;
  std::string status;
  int version = 0;
  int current = 0;  // 0: the flow is gone
  bool has_event = false;
};

Result<std::optional<Original>> find_original(Transaction& transaction, std::string_view run, std::string_view user) {
  std::optional<Original> found;
  auto rows = transaction.execute(
      "SELECT r.flow_id, r.status, r.flow_version, f.version, e.id FROM runs r LEFT JOIN flows f ON f.id = r.flow_id "
      "LEFT JOIN events e ON e.id = r.event_id WHERE r.id = $1 AND r.user_id = $2",
      {run, user}, [&](const Row& row) {
        found = Original{std::string(row.text(0)), std::string(row.text(1)), static_cast<int>(row.integer(2)),
                         static_cast<int>(row.integer(3)), !row.is_null(4)};
      });
  if (!rows) return std::unexpected(rows.error());
  return found;
}

std::string before_port(const std::string& edge) { return edge.substr(0, edge.find(':')); }

// The node and all that comes after it, directly or not. Empty: the flow has no such node.
std::set<std::string> from_node_on(const std::string& definition, const std::string& node) {
  const auto flow = nlohmann::json::parse(definition, nullptr, false);
  std::set<std::string> reached;
  if (!flow.is_object() || !flow.contains("nodes")) return reached;
  const auto& nodes = flow["nodes"];
  for (const auto& one : nodes) {
    if (one.value("id", "") == node) reached.insert(node);
  }
  for (std::size_t size = 0; size != reached.size();) {
    size = reached.size();
    for (const auto& one : nodes) {
      for (const auto& edge : one.value("after", nlohmann::json::array())) {
        if (edge.is_string() && reached.contains(before_port(edge))) reached.insert(one.value("id", ""));
      }
    }
  }
  return reached;
}

Result<> copy_steps(Transaction& transaction, std::string_view from, std::string_view to, const std::set<std::string>& but) {
  std::vector<std::string> nodes;
  auto rows = transaction.execute("SELECT node_id FROM steps WHERE run_id = $1 AND status = 'completed'", {from},
                                  [&](const Row& row) { nodes.emplace_back(row.text(0)); });
  if (!rows) return std::unexpected(rows.error());
  for (const auto& node : nodes) {
    if (but.contains(node)) continue;
    auto copied = transaction.execute(
        "INSERT INTO steps (run_id, node_id, status, port, attempt, input, output, error, started_at, finished_at, next_at) "
        "SELECT $1, node_id, status, port, attempt, input, output, error, started_at, finished_at, next_at FROM steps "
        "WHERE run_id = $2 AND node_id = $3",
        {to, from, std::string_view(node)});
    if (!copied) return std::unexpected(copied.error());
  }
  return {};
}

}  // namespace

Result<RunId> insert_replay(store::Database& database, const ReplayWish& wish, Timestamp now) {
  const auto old_run = wish.run.to_string();
  const auto user = wish.user.to_string();
  const auto made = RunId::make(now);
  const auto new_run = made.to_string();
  auto written = database.write([&](Transaction& transaction) -> Result<> {
    auto original = find_original(transaction, old_run, user);
    if (!original) return std::unexpected(original.error());
    if (!*original) return fail(Errc::not_found, "there is no run " + old_run);
    const auto& run = **original;
    if (run.status == "pending" || run.status == "running") return fail(Errc::conflict, fmt::format("run {} is still {}", old_run, run.status));
    if (!run.has_event) return fail(Errc::not_found, fmt::format("the event of run {} is no longer stored", old_run));
    if (run.current == 0) return fail(Errc::not_found, fmt::format("the flow of run {} was removed", old_run));
    const int version = wish.current ? run.current : run.version;

    std::string definition;
    auto read = transaction.execute("SELECT definition FROM flow_versions WHERE flow_id = $1 AND version = $2",
                                    {std::string_view(run.flow), std::int64_t{version}}, [&](const Row& row) { definition = row.text(0); });
    if (!read) return std::unexpected(read.error());
    if (!wish.from.empty()) {
      const auto again = from_node_on(definition, wish.from);
      if (again.empty()) return fail(Errc::invalid, fmt::format("version {} of the flow has no node '{}'", version, wish.from));
      if (auto copied = copy_steps(transaction, old_run, new_run, again); !copied) return copied;
    }
    auto added = transaction.execute(
        "INSERT INTO runs (id, flow_id, flow_version, user_id, watch_id, event_id, status, created_at, wake_at, replay_of, replay_from) "
        "SELECT $1, flow_id, $2, user_id, watch_id, event_id, 'pending', $3, $3, id, $4 FROM runs WHERE id = $5",
        {std::string_view(new_run), std::int64_t{version}, micros(now),
         wish.from.empty() ? store::Param{nullptr} : store::Param{std::string_view(wish.from)}, std::string_view(old_run)});
    if (!added) return std::unexpected(added.error());
    auto taken = transaction.execute("DELETE FROM dead_letters WHERE run_id = $1", {std::string_view(old_run)});
    if (!taken) return std::unexpected(taken.error());
    return transaction.announce();
  });
  if (!written) return std::unexpected(written.error());
  return made;
}

}  // namespace patchbay::engine
