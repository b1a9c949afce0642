#include "engine/run_store.hpp"

#include <algorithm>
#include <unordered_map>

#include "core/log.hpp"
#include "journal/journal.hpp"
#include "journal/packed_body.hpp"

namespace patchbay::engine {
namespace {

using store::Param;

Param text_or_null(const std::string& text) { return text.empty() ? Param{nullptr} : Param{std::string_view(text)}; }
Param time_or_null(const std::optional<Timestamp>& time) { return time ? Param{micros(*time)} : Param{nullptr}; }

std::optional<Timestamp> time_at(const store::Row& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return from_micros(row.integer(column));
}

class SaveItem : public store::GroupCommit::Item {
 public:
  SaveItem(RunUpdate& update, RunStore::Done done)
      : update(std::move(update)), run_text(this->update.run.to_string()), done_(std::move(done)) {}

  std::size_t bytes() const override {
    std::size_t total = 256;
    for (const auto& step : update.steps) total += 128 + step.input.size() + step.output.size() + step.error.size();
    return total;
  }
  void finished(Result<> result) override { done_(std::move(result), std::move(update)); }
  void give_back(RunUpdate& to) { to = std::move(update); }

  RunUpdate update;
  std::string run_text;

 private:
  RunStore::Done done_;
};

Result<> insert_steps(store::Transaction& transaction, std::span<store::GroupCommit::Item* const> items) {
  constexpr std::size_t kColumns = 11;
  std::vector<Param> params;
  for (auto* item : items) {
    const auto& save = static_cast<const SaveItem&>(*item);
    for (const auto& step : save.update.steps) {
      params.insert(params.end(), {std::string_view(save.run_text), std::string_view(step.node),
                                   std::string_view(step.status), text_or_null(step.port), std::int64_t{step.attempt},
                                   text_or_null(step.input), text_or_null(step.output), text_or_null(step.error),
                                   micros(step.started), time_or_null(step.finished), time_or_null(step.next)});
    }
  }
  if (params.empty()) return {};
  auto changed = transaction.execute_many(
      "INSERT INTO steps (run_id, node_id, status, port, attempt, input, output, error, started_at, finished_at, "
      "next_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) "
      "ON CONFLICT (run_id, node_id) DO UPDATE SET status = excluded.status, port = excluded.port, "
      "attempt = excluded.attempt, input = excluded.input, output = excluded.output, error = excluded.error, "
      "finished_at = excluded.finished_at, next_at = excluded.next_at",
      kColumns, params);
  if (!changed) return std::unexpected(changed.error());
  return {};
}

// Those that somebody has ended in the meantime (cancelled) stay as they are.
Result<> mark_over(store::Transaction& transaction, std::span<store::GroupCommit::Item* const> items) {
  for (auto* item : items) {
    auto& save = static_cast<SaveItem&>(*item);
    if (!save.update.status) continue;
    auto row = transaction.execute("SELECT finished_at FROM runs WHERE id = $1", {std::string_view(save.run_text)}, [&save](const store::Row& row) {
      save.update.over = !row.is_null(0) && time_at(row, 0) != save.update.status->finished;
    });
    if (!row) return std::unexpected(row.error());
  }
  return {};
}

Result<> update_runs(store::Transaction& transaction, std::span<store::GroupCommit::Item* const> items) {
  constexpr std::size_t kColumns = 5;
  std::vector<Param> params;
  for (auto* item : items) {
    auto& save = static_cast<SaveItem&>(*item);
    save.update.over = false;
    if (!save.update.status) continue;
    const auto& status = *save.update.status;
    params.insert(params.end(), {std::string_view(save.run_text), std::string_view(status.status),
                                 micros(status.started), time_or_null(status.finished), text_or_null(status.error)});
  }
  if (params.empty()) return {};
  auto changed = transaction.execute_many(
      "UPDATE runs SET status = $2, started_at = $3, finished_at = $4, error = $5 "
      "WHERE id = $1 AND status IN ('pending', 'running')",
      kColumns, params);
  if (!changed) return std::unexpected(changed.error());
  return *changed == std::ssize(params) / static_cast<std::ptrdiff_t>(kColumns) ? Result<>{} : mark_over(transaction, items);
}

// Runs that this host gives up, and the places in lanes of those that ended.
Result<> hand_over(store::Transaction& transaction, std::span<store::GroupCommit::Item* const> items) {
  std::vector<Param> free;
  std::vector<Param> lanes;
  std::vector<std::string> connections;
  connections.reserve(items.size());  // params point into it
  for (auto* item : items) {
    const auto& save = static_cast<const SaveItem&>(*item);
    if (save.update.free_at) {
      connections.push_back(save.update.waits_for.is_nil() ? "" : save.update.waits_for.to_string());
      free.insert(free.end(), {std::string_view(save.run_text), micros(*save.update.free_at), text_or_null(connections.back())});
    }
    if (save.update.lane.empty()) continue;
    lanes.insert(lanes.end(), {std::string_view(save.update.lane), micros(save.update.now)});
  }
  if (!free.empty()) {
    auto given = transaction.execute_many(
        "UPDATE runs SET host = NULL, wake_at = $2, waits_for = $3, interrupted = 0 WHERE id = $1 AND status IN ('pending', 'running')", 3, free);
    if (!given) return std::unexpected(given.error());
  }
  if (lanes.empty()) return {};
  auto opened = journal::advance_lanes(transaction, lanes);
  if (!opened) return std::unexpected(opened.error());
  return *opened > 0 ? transaction.announce() : Result<>{};
}

Result<> insert_dead_letters(store::Transaction& transaction, std::span<store::GroupCommit::Item* const> items) {
  for (auto* item : items) {
    const auto& save = static_cast<const SaveItem&>(*item);
    for (const auto& letter : save.update.dead_letters) {
      // The id is the run's own time-ordered id with the node, so a repeated write makes no second letter.
      const std::string id = save.run_text + ":" + letter.node;
      auto added = transaction.execute(
          "INSERT INTO dead_letters (id, user_id, run_id, node_id, reason, created_at) VALUES ($1, $2, $3, $4, $5, $6) "
          "ON CONFLICT (id) DO NOTHING",
          {std::string_view(id), std::string_view(letter.user.to_string()), std::string_view(save.run_text),
           std::string_view(letter.node), std::string_view(letter.reason), micros(save.update.now)});
      if (!added) return std::unexpected(added.error());
    }
  }
  return {};
}

using Runs = std::unordered_map<std::string, std::vector<OpenRun*>>;

// In one batch for all.
Result<> load_steps(store::Transaction& transaction, std::vector<OpenRun>& runs) {
  Runs by_id;
  for (auto& run : runs) by_id[run.id.to_string()].push_back(&run);
  std::vector<Param> params;
  for (const auto& [id, of] : by_id) params.emplace_back(std::string_view(id));
  auto read = transaction.execute_many(
      "SELECT run_id, node_id, status, port, attempt, input, output, error, started_at, finished_at, next_at FROM steps WHERE run_id = $1", 1,
      params, [&by_id](const store::Row& row) {
        const auto found = by_id.find(std::string(row.text(0)));
        if (found == by_id.end()) return;
        found->second.front()->steps.push_back({.node = std::string(row.text(1)),
                                                .status = std::string(row.text(2)),
                                                .port = std::string(row.text(3)),
                                                .attempt = static_cast<int>(row.integer(4)),
                                                .input = std::string(row.text(5)),
                                                .output = std::string(row.text(6)),
                                                .error = std::string(row.text(7)),
                                                .started = from_micros(row.integer(8)),
                                                .finished = time_at(row, 9),
                                                .next = time_at(row, 10)});
      });
  if (!read) return std::unexpected(read.error());
  return {};
}

Result<> load_events(store::Transaction& transaction, std::vector<OpenRun>& runs) {
  Runs by_event;  // a replay has the event of another run
  for (auto& run : runs) by_event[run.event.to_string()].push_back(&run);
  std::vector<Param> params;
  for (const auto& [id, of] : by_event) params.emplace_back(std::string_view(id));
  auto read = transaction.execute_many(
      "SELECT e.id, w.node_id, e.data, d.body, d.body_size FROM events e LEFT JOIN watches w ON w.id = e.watch_id "
      "LEFT JOIN deliveries d ON d.id = e.delivery_id WHERE e.id = $1",
      1, params, [&](const store::Row& row) {
        std::string data(row.text(2));
        if (row.is_null(2)) {
          auto body = journal::unpack_body(row.blob(3), row.integer(4));
          if (!body) log::error("engine", "event {}: {}", row.text(0), body.error().message);
          data = std::move(body).value_or("");
        }
        for (auto* run : by_event[std::string(row.text(0))]) {
          run->trigger_node = row.text(1);
          run->data = data;
        }
      });
  if (!read) return std::unexpected(read.error());
  return {};
}

}  // namespace

bool Claimed::has_held_runs() const {
  return std::ranges::any_of(runs, [](const OpenRun& run) { return std::ranges::find(run.steps, "pending", &StepRow::status) != run.steps.end(); });
}

void RunStore::attach(store::GroupCommit& queue, std::size_t place) {
  queue_ = &queue;
  place_ = place;
}

Result<> RunStore::save(RunUpdate& update, Done done) {
  std::unique_ptr<store::GroupCommit::Item> item = std::make_unique<SaveItem>(update, std::move(done));
  auto queued = queue_->submit(place_, item);
  if (!queued) static_cast<SaveItem&>(*item).give_back(update);
  return queued;
}

Result<> RunStore::apply(store::Transaction& transaction, std::span<store::GroupCommit::Item* const> items) {
  if (auto done = insert_steps(transaction, items); !done) return done;
  if (auto done = update_runs(transaction, items); !done) return done;
  if (auto done = hand_over(transaction, items); !done) return done;
  return insert_dead_letters(transaction, items);
}

Result<Claimed> RunStore::claim(Timestamp now, int limit, const std::vector<FlowId>& full) {
  Claimed claimed;
  std::string left_out;
  for (const auto& flow : full) left_out += flow.to_string() + " ";
  // Asked often and mostly in vain, so a reader asks: the writer has the commits to do.
  auto looked = database_.read([&](store::Transaction& transaction) -> Result<> {
    claimed.next.reset();
    auto rows = transaction.execute(
        "SELECT wake_at FROM runs WHERE host IS NULL AND status IN ('pending', 'running') AND wake_at IS NOT NULL ORDER BY wake_at LIMIT 1", {},
        [&](const store::Row& row) { claimed.next = time_at(row, 0); });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!looked) return std::unexpected(looked.error());
  if (!claimed.next || *claimed.next > now || limit <= 0) return claimed;

  auto taken = database_.write([&](store::Transaction& transaction) -> Result<> {
    claimed.runs.clear();
    auto in = transaction.execute("SELECT id FROM hosts WHERE id = $1 /*postgresql: FOR KEY SHARE*/", {std::string_view(host_)},
                                  [&](const store::Row&) { claimed.runs.emplace_back(); });
    if (!in) return std::unexpected(in.error());
    if (claimed.runs.empty()) return fail(Errc::unavailable, "this host is not among those that work on the database");
    claimed.runs.clear();
    auto rows = transaction.execute(
        "UPDATE runs SET host = $1 WHERE id IN (SELECT id FROM runs WHERE host IS NULL AND status IN ('pending', 'running') "
        "AND wake_at <= $2 AND $4 NOT LIKE '%' || flow_id || '%' ORDER BY wake_at LIMIT $3 /*postgresql: FOR UPDATE SKIP LOCKED*/) "
        "RETURNING id, flow_id, flow_version, user_id, watch_id, event_id, started_at, interrupted, lane, lane_width",
        {std::string_view(host_), micros(now), std::int64_t{limit}, std::string_view(left_out)}, [&](const store::Row& row) {
          auto& run = claimed.runs.emplace_back();
          run.id = RunId::parse(row.text(0)).value_or(RunId{});
          run.flow = FlowId::parse(row.text(1)).value_or(FlowId{});
          run.flow_version = static_cast<int>(row.integer(2));
          run.user = UserId::parse(row.text(3)).value_or(UserId{});
          run.watch = WatchId::parse(row.text(4)).value_or(WatchId{});
          run.event = EventId::parse(row.text(5)).value_or(EventId{});
          run.started = time_at(row, 6);
          run.interrupted = row.integer(7) != 0;
          run.lane = row.text(8);
          run.lane_width = static_cast<int>(row.integer(9));
        });
    if (!rows) return std::unexpected(rows.error());
    if (auto loaded = load_events(transaction, claimed.runs); !loaded) return loaded;
    return load_steps(transaction, claimed.runs);
  });
  if (!taken) return std::unexpected(taken.error());
  std::sort(claimed.runs.begin(), claimed.runs.end(), [](const OpenRun& a, const OpenRun& b) { return a.id < b.id; });
  return claimed;
}

Result<> RunStore::wake(ConnectionId connection, Timestamp now) {
  const auto id = connection.to_string();
  return database_.write([&](store::Transaction& transaction) -> Result<> {
    auto steps = transaction.execute(
        "UPDATE steps SET next_at = $2 WHERE status = 'pending' AND run_id IN (SELECT id FROM runs WHERE waits_for = $1 AND host IS NULL)",
        {std::string_view(id), micros(now)});
    if (!steps) return std::unexpected(steps.error());
    auto runs = transaction.execute("UPDATE runs SET wake_at = $2, waits_for = NULL WHERE waits_for = $1 AND host IS NULL",
                                    {std::string_view(id), micros(now)});
    if (!runs) return std::unexpected(runs.error());
    return *runs > 0 ? transaction.announce() : Result<>{};
  });
}

Result<std::vector<RunId>> RunStore::own() {
  std::vector<RunId> runs;
  auto read = database_.read([&](store::Transaction& transaction) -> Result<> {
    runs.clear();
    auto rows = transaction.execute("SELECT id FROM runs WHERE host = $1 AND status IN ('pending', 'running')", {std::string_view(host_)},
                                    [&](const store::Row& row) { runs.push_back(RunId::parse(row.text(0)).value_or(RunId{})); });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  return runs;
}

Result<> RunStore::give_up(const std::vector<RunId>& runs, Timestamp now) {
  std::vector<std::string> ids;
  for (const auto& run : runs) ids.push_back(run.to_string());
  std::vector<Param> params;
  for (const auto& id : ids) params.insert(params.end(), {std::string_view(id), std::string_view(host_), micros(now)});
  return database_.write([&](store::Transaction& transaction) -> Result<> {
    auto given = transaction.execute_many(
        "UPDATE runs SET host = NULL, wake_at = $3, interrupted = 1 WHERE id = $1 AND host = $2 AND status IN ('pending', 'running')", 3, params);
    if (!given) return std::unexpected(given.error());
    return transaction.announce();
  });
}

Result<bool> RunStore::open_stuck_lanes(Timestamp now) {
  std::vector<std::pair<std::string, std::int64_t>> lanes;
  auto read = database_.read([&](store::Transaction& transaction) -> Result<> {
    lanes.clear();
    auto rows = transaction.execute(
        "SELECT lane, MAX(lane_width), COUNT(COALESCE(host, CAST(wake_at AS TEXT))) FROM runs WHERE lane IS NOT NULL "
        "AND status IN ('pending', 'running') GROUP BY lane HAVING COUNT(*) > COUNT(COALESCE(host, CAST(wake_at AS TEXT)))",
        {}, [&](const store::Row& row) {
          if (row.integer(2) < row.integer(1)) lanes.emplace_back(row.text(0), row.integer(1));
        });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  if (lanes.empty()) return false;
  std::vector<Param> params;
  for (const auto& [lane, width] : lanes) params.insert(params.end(), {std::string_view(lane), width, micros(now)});
  std::int64_t opened = 0;
  auto written = database_.write([&](store::Transaction& transaction) -> Result<> {
    auto changed = journal::fill_lanes(transaction, params);
    if (!changed) return std::unexpected(changed.error());
    opened = *changed;
    return opened > 0 ? transaction.announce() : Result<>{};
  });
  if (!written) return std::unexpected(written.error());
  return opened > 0;
}

}  // namespace patchbay::engine
