#include "engine/run_store.hpp"

#include "core/log.hpp"
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

Result<> update_runs(store::Transaction& transaction, std::span<store::GroupCommit::Item* const> items) {
  constexpr std::size_t kColumns = 5;
  std::vector<Param> params;
  for (auto* item : items) {
    const auto& save = static_cast<const SaveItem&>(*item);
    if (!save.update.status) continue;
    const auto& status = *save.update.status;
    params.insert(params.end(), {std::string_view(save.run_text), std::string_view(status.status),
                                 micros(status.started), time_or_null(status.finished), text_or_null(status.error)});
  }
  if (params.empty()) return {};
  auto changed = transaction.execute_many(
      "UPDATE runs SET status = $2, started_at = $3, finished_at = $4, error = $5 WHERE id = $1", kColumns, params);
  if (!changed) return std::unexpected(changed.error());
  return {};
}

Result<> insert_dead_letters(store::Transaction& transaction, std::span<store::GroupCommit::Item* const> items) {
  for (auto* item : items) {
    const auto& save = static_cast<const SaveItem&>(*item);
    if (!save.update.dead_letter) continue;
    const auto& letter = *save.update.dead_letter;
    // The id is the run's own time-ordered id with the node, so a repeated write makes no second letter.
    const std::string id = save.run_text + ":" + letter.node;
    auto added = transaction.execute(
        "INSERT INTO dead_letters (id, user_id, run_id, node_id, reason, created_at) VALUES ($1, $2, $3, $4, $5, $6) "
        "ON CONFLICT (id) DO NOTHING",
        {std::string_view(id), std::string_view(letter.user.to_string()), std::string_view(save.run_text),
         std::string_view(letter.node), std::string_view(letter.reason), micros(save.update.now)});
    if (!added) return std::unexpected(added.error());
  }
  return {};
}

Result<> load_steps(store::Transaction& transaction, OpenRun& run) {
  auto read = transaction.execute(
      "SELECT node_id, status, port, attempt, input, output, error, started_at, finished_at, next_at FROM steps "
      "WHERE run_id = $1",
      {std::string_view(run.id.to_string())}, [&run](const store::Row& row) {
        run.steps.push_back({.node = std::string(row.text(0)),
                             .status = std::string(row.text(1)),
                             .port = std::string(row.text(2)),
                             .attempt = static_cast<int>(row.integer(3)),
                             .input = std::string(row.text(4)),
                             .output = std::string(row.text(5)),
                             .error = std::string(row.text(6)),
                             .started = from_micros(row.integer(7)),
                             .finished = time_at(row, 8),
                             .next = time_at(row, 9)});
      });
  if (!read) return std::unexpected(read.error());
  return {};
}

}  // namespace

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
  return insert_dead_letters(transaction, items);
}

Result<std::vector<OpenRun>> RunStore::load_open(RunId after, int limit) {
  std::vector<OpenRun> runs;
  auto read = database_.read([&](store::Transaction& transaction) -> Result<> {
    runs.clear();
    auto rows = transaction.execute(
        "SELECT r.id, r.flow_id, r.flow_version, r.user_id, r.watch_id, r.event_id, r.started_at, w.node_id, e.data, "
        "d.body, d.body_size FROM runs r JOIN events e ON e.id = r.event_id LEFT JOIN watches w ON w.id = r.watch_id "
        "LEFT JOIN deliveries d ON d.id = e.delivery_id "
        "WHERE r.status IN ('pending', 'running') AND r.id > $1 ORDER BY r.id LIMIT $2",
        {std::string_view(after.to_string()), std::int64_t{limit}}, [&runs](const store::Row& row) {
          OpenRun run;
          run.id = RunId::parse(row.text(0)).value_or(RunId{});
          run.flow = FlowId::parse(row.text(1)).value_or(FlowId{});
          run.flow_version = static_cast<int>(row.integer(2));
          run.user = UserId::parse(row.text(3)).value_or(UserId{});
          run.watch = WatchId::parse(row.text(4)).value_or(WatchId{});
          run.event = EventId::parse(row.text(5)).value_or(EventId{});
          run.started = time_at(row, 6);
          run.trigger_node = row.text(7);
          if (row.is_null(8)) {
            auto body = journal::unpack_body(row.blob(9), row.integer(10));
            if (!body) log::error("engine", "run {}: {}", run.id.to_string(), body.error().message);
            run.data = std::move(body).value_or("");
          } else {
            run.data = row.text(8);
          }
          runs.push_back(std::move(run));
        });
    if (!rows) return std::unexpected(rows.error());
    for (auto& run : runs) {
      if (auto loaded = load_steps(transaction, run); !loaded) return loaded;
    }
    return {};
  });
  if (!read) return std::unexpected(read.error());
  return runs;
}

}  // namespace patchbay::engine
