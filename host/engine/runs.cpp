#include "engine/runs.hpp"

#include <algorithm>
#include <string>
#include <tuple>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "journal/packed_body.hpp"

namespace patchbay::engine {
namespace {

using store::Param;
using store::Row;
using store::Transaction;

std::optional<Timestamp> time_at(const Row& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return from_micros(row.integer(column));
}

// Columns 0 to 8, as both queries below select them.
void read_summary(const Row& row, RunSummary& run) {
  run.id = RunId::parse(row.text(0)).value_or(RunId{});
  run.flow = FlowId::parse(row.text(1)).value_or(FlowId{});
  run.flow_version = static_cast<int>(row.integer(2));
  run.event = EventId::parse(row.text(3)).value_or(EventId{});
  run.status = row.text(4);
  run.created = from_micros(row.integer(5));
  run.started = time_at(row, 6);
  run.finished = time_at(row, 7);
  run.error = row.text(8);
}
// The columns that follow each other as replay_of, replay_from.
void read_replay(const Row& row, int column, RunSummary& run) {
  if (!row.is_null(column)) run.replay_of = RunId::parse(row.text(column));
  run.replay_from = row.text(column + 1);
}

std::string_view kind_of(const nlohmann::json& node) {
  if (node.contains("trigger")) return "trigger";
  return node.contains("if") ? "if" : "reaction";
}

// The steps as stored carry no kind and no order, and nodes that were skipped or are still to come have no row: the
// flow's definition knows them.
std::vector<StepDetail> in_order_of(const std::string& definition, const RunDetail& run, std::vector<StepDetail> stored,
                                    const std::string& trigger_node, const std::string& event_data) {
  const auto flow = nlohmann::json::parse(definition, nullptr, false);
  if (!flow.is_object() || !flow.contains("nodes")) return stored;
  const bool ended = run.finished.has_value();
  std::vector<StepDetail> steps;
  for (const auto& node : flow["nodes"]) {
    const auto id = node.value("id", "");
    const auto row =
        std::find_if(stored.begin(), stored.end(), [&](const StepDetail& step) { return step.node == id; });
    auto& step = steps.emplace_back(row == stored.end() ? StepDetail{} : *row);
    step.node = id;
    step.kind = kind_of(node);
    if (step.kind == "if") step.condition = node.value("if", "");
    if (row != stored.end()) continue;
    step.status = ended ? "skipped" : "pending";
    if (step.kind == "trigger" && (id == trigger_node || trigger_node.empty())) {
      step.status = "completed";
      step.attempt = 1;
      step.output = event_data;
      step.started = step.finished = run.created;
    }
  }
  return steps;
}

}  // namespace

Result<std::vector<RunSummary>> list_runs(store::Database& database, const RunFilter& filter) {
  const std::string user = filter.user.to_string();
  const std::string flow = filter.flow ? filter.flow->to_string() : "";
  const std::string before = filter.before ? filter.before->to_string() : "~";  // sorts behind every id
  // A status that is not asked for is filtered here, so the statement is one and is prepared once.
  std::string statuses;
  for (const auto& status : filter.statuses) statuses += "|" + status + "|";
  std::vector<RunSummary> runs;
  auto read = database.read([&](Transaction& transaction) -> Result<> {
    runs.clear();
    const auto on_row = [&runs](const Row& row) {
      read_summary(row, runs.emplace_back());
      read_replay(row, 9, runs.back());
    };
    auto rows = filter.flow
                    ? transaction.execute(
                          "SELECT id, flow_id, flow_version, event_id, status, created_at, started_at, finished_at, "
                          "error, replay_of, replay_from FROM runs WHERE flow_id = $1 AND user_id = $2 AND id < $3 "
                          "AND ($4 = '' OR $4 LIKE '%|' || status || '|%') ORDER BY id DESC LIMIT $5",
                          {std::string_view(flow), std::string_view(user), std::string_view(before),
                           std::string_view(statuses), std::int64_t{filter.limit}},
                          on_row)
                    : transaction.execute(
                          "SELECT id, flow_id, flow_version, event_id, status, created_at, started_at, finished_at, "
                          "error, replay_of, replay_from FROM runs WHERE user_id = $1 AND id < $2 "
                          "AND ($3 = '' OR $3 LIKE '%|' || status || '|%') ORDER BY id DESC LIMIT $4",
                          {std::string_view(user), std::string_view(before), std::string_view(statuses),
                           std::int64_t{filter.limit}},
                          on_row);
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  return runs;
}

Result<RunDetail> find_run(store::Database& database, UserId user, RunId id) {
  std::optional<RunDetail> run;
  std::string trigger_node;
  std::string event_data;
  std::string definition;
  std::vector<StepDetail> steps;
  auto read = database.read([&](Transaction& transaction) -> Result<> {
    steps.clear();
    Result<> unpacked;
    const std::string run_id = id.to_string();
    auto found = transaction.execute(
        "SELECT r.id, r.flow_id, r.flow_version, r.event_id, r.status, r.created_at, r.started_at, r.finished_at, "
        "r.error, r.watch_id, f.name, e.event_key, e.delivery_id, e.data, d.body, w.node_id, v.definition, d.body_size, r.replay_of, r.replay_from FROM runs r "
        "LEFT JOIN flows f ON f.id = r.flow_id LEFT JOIN events e ON e.id = r.event_id "
        "LEFT JOIN deliveries d ON d.id = e.delivery_id LEFT JOIN watches w ON w.id = r.watch_id "
        "LEFT JOIN flow_versions v ON v.flow_id = r.flow_id AND v.version = r.flow_version "
        "WHERE r.id = $1 AND (r.user_id = $2 OR $2 = '')",
        {std::string_view(run_id), user.is_nil() ? std::string_view() : std::string_view(user.to_string())},
        [&](const Row& row) {
          auto& detail = run.emplace();
          read_summary(row, detail);
          read_replay(row, 18, detail);
          detail.watch = WatchId::parse(row.text(9)).value_or(WatchId{});
          detail.flow_name = row.text(10);
          detail.event_key = row.text(11);
          if (!row.is_null(12)) detail.delivery = DeliveryId::parse(row.text(12));
          if (row.is_null(13)) {
            if (auto body = journal::unpack_body(row.blob(14), row.integer(17))) event_data = *std::move(body);
            else unpacked = std::unexpected(body.error());
          } else {
            event_data = row.text(13);
          }
          trigger_node = row.text(15);
          definition = row.text(16);
        });
    if (!found) return std::unexpected(found.error());
    if (!unpacked) return unpacked;
    auto rows = transaction.execute(
        "SELECT node_id, status, port, attempt, input, output, error, started_at, finished_at, next_at FROM steps "
        "WHERE run_id = $1 ORDER BY started_at",
        {std::string_view(run_id)}, [&steps](const Row& row) {
          auto& step = steps.emplace_back();
          step.node = row.text(0);
          step.status = row.text(1);
          step.port = row.text(2);
          step.attempt = static_cast<int>(row.integer(3));
          step.input = row.text(4);
          step.output = row.text(5);
          step.error = row.text(6);
          step.started = time_at(row, 7);
          step.finished = time_at(row, 8);
          step.next = time_at(row, 9);
        });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  if (!run) return fail(Errc::not_found, "there is no run " + id.to_string());
  run->steps = in_order_of(definition, *run, std::move(steps), trigger_node, event_data);
  return *std::move(run);
}

bool Comparison::is_same() const {
  return std::all_of(nodes.begin(), nodes.end(), [](const Node& node) { return node.same; });
}

Result<Comparison> compare_replay(store::Database& database, UserId user, RunId replay) {
  auto after = find_run(database, user, replay);
  if (!after) return std::unexpected(after.error());
  if (!after->replay_of) return fail(Errc::conflict, fmt::format("run {} is no replay", replay.to_string()));
  auto before = find_run(database, user, *after->replay_of);
  if (!before) return std::unexpected(before.error());
  Comparison comparison{.original = before->id, .replay = after->id, .nodes = {}};
  const auto find = [](std::vector<StepDetail>& steps, const std::string& node) {
    return std::find_if(steps.begin(), steps.end(), [&](const StepDetail& step) { return step.node == node; });
  };
  for (auto& step : before->steps) {
    auto& node = comparison.nodes.emplace_back();
    node.node = step.node;
    const auto same = find(after->steps, step.node);
    if (same != after->steps.end()) node.after = *same;
    node.before = std::move(step);
  }
  for (auto& step : after->steps) {  // nodes that the flow got since
    const auto known = std::any_of(comparison.nodes.begin(), comparison.nodes.end(), [&](const auto& node) { return node.node == step.node; });
    if (known) continue;
    auto& node = comparison.nodes.emplace_back();
    node.node = step.node;
    node.after = std::move(step);
  }
  for (auto& node : comparison.nodes) {
    const auto of = [](const StepDetail& step) { return std::tie(step.status, step.port, step.input, step.output); };
    node.same = of(node.before) == of(node.after);
  }
  return comparison;
}

}  // namespace patchbay::engine
