#include "engine/run_actions.hpp"

#include <fmt/format.h>

#include "journal/journal.hpp"

namespace patchbay::engine {
namespace {

using store::Param;
using store::Row;
using store::Transaction;

struct Found {
  std::string status;
  std::string lane;
  std::int64_t lane_width = 0;
};

Result<Found> find(Transaction& transaction, std::string_view run, std::string_view user) {
  std::optional<Found> found;
  auto rows = transaction.execute("SELECT status, lane, lane_width FROM runs WHERE id = $1 AND user_id = $2", {run, user}, [&](const Row& row) {
    found = Found{std::string(row.text(0)), std::string(row.text(1)), row.integer(2)};
  });
  if (!rows) return std::unexpected(rows.error());
  if (!found) return fail(Errc::not_found, fmt::format("there is no run {}", run));
  return *std::move(found);
}

Result<> done_or_error(const Result<std::int64_t>& result) {
  if (!result) return std::unexpected(result.error());
  return {};
}

Result<> write_step(Transaction& transaction, std::string_view run, std::string_view node, Decision decision, Timestamp now) {
  if (decision == Decision::repeat) {
    return done_or_error(transaction.execute("DELETE FROM steps WHERE run_id = $1 AND node_id = $2", {run, node}));
  }
  const bool failed = decision == Decision::fail;
  return done_or_error(transaction.execute(
      "UPDATE steps SET status = $3, output = $4, error = $5, finished_at = $6 WHERE run_id = $1 AND node_id = $2",
      {run, node, failed ? "failed" : "completed",
       failed ? R"({"error":{"code":"unavailable","message":"a person said that it was not done"}})" : "{}",
       failed ? Param{std::string_view("a person said that it was not done")} : Param{nullptr}, micros(now)}));
}

}  // namespace

Result<> cancel_run(store::Database& database, UserId user, RunId run, Timestamp now) {
  const auto id = run.to_string();
  const auto owner = user.to_string();
  return database.write([&](Transaction& transaction) -> Result<> {
    auto found = find(transaction, id, owner);
    if (!found) return std::unexpected(found.error());
    auto changed = transaction.execute(
        "UPDATE runs SET status = 'cancelled', finished_at = $2, error = 'cancelled by its owner' "
        "WHERE id = $1 AND status IN ('pending', 'running', 'paused')",
        {std::string_view(id), micros(now)});
    if (!changed) return std::unexpected(changed.error());
    if (*changed == 0) return fail(Errc::conflict, fmt::format("run {} is {}", id, found->status));
    auto taken = transaction.execute("DELETE FROM dead_letters WHERE run_id = $1", {std::string_view(id)});
    if (!taken) return std::unexpected(taken.error());
    if (!found->lane.empty()) {
      const Param lane[]{std::string_view(found->lane), found->lane_width, micros(now)};
      if (auto opened = journal::fill_lanes(transaction, lane); !opened) return std::unexpected(opened.error());
    }
    return transaction.announce();
  });
}

Result<> decide_step(store::Database& database, UserId user, RunId run, std::string_view node, Decision decision, Timestamp now) {
  const auto id = run.to_string();
  const auto owner = user.to_string();
  return database.write([&](Transaction& transaction) -> Result<> {
    auto found = find(transaction, id, owner);
    if (!found) return std::unexpected(found.error());
    bool waits = false;
    std::int64_t others = 0;
    auto steps = transaction.execute("SELECT node_id FROM steps WHERE run_id = $1 AND status = 'maybe'", {std::string_view(id)}, [&](const Row& row) {
      if (row.text(0) == node) waits = true;
      else ++others;
    });
    if (!steps) return std::unexpected(steps.error());
    if (!waits || found->status != "paused") return fail(Errc::conflict, fmt::format("step '{}' of run {} waits for no decision", node, id));
    if (auto written = write_step(transaction, id, node, decision, now); !written) return written;
    const auto letter = id + ":" + std::string(node);
    auto taken = transaction.execute("DELETE FROM dead_letters WHERE id = $1", {std::string_view(letter)});
    if (!taken) return std::unexpected(taken.error());
    if (others > 0) return {};
    auto opened = transaction.execute("UPDATE runs SET status = 'running', host = NULL, wake_at = $2, interrupted = 0, error = NULL WHERE id = $1",
                                      {std::string_view(id), micros(now)});
    if (!opened) return std::unexpected(opened.error());
    return transaction.announce();
  });
}

Result<> retry_delivery(store::Database& database, UserId user, DeliveryId delivery, Timestamp now) {
  const auto id = delivery.to_string();
  const auto owner = user.to_string();
  return database.write([&](Transaction& transaction) -> Result<> {
    std::string status;
    auto rows = transaction.execute("SELECT status FROM deliveries WHERE id = $1 AND user_id = $2", {std::string_view(id), std::string_view(owner)},
                                    [&](const Row& row) { status = row.text(0); });
    if (!rows) return std::unexpected(rows.error());
    if (status.empty()) return fail(Errc::not_found, fmt::format("there is no delivery {}", id));
    if (status != "dead") return fail(Errc::conflict, fmt::format("delivery {} is {}: only a dead one is tried again", id, status));
    return done_or_error(transaction.execute("UPDATE deliveries SET status = 'retry_ready', attempt = 0, next_at = $2 WHERE id = $1",
                                             {std::string_view(id), micros(now)}));
  });
}

Result<std::vector<DeadLetterRecord>> list_dead_letters(store::Database& database, UserId user, int limit, std::string_view before) {
  std::vector<DeadLetterRecord> letters;
  const auto owner = user.to_string();
  auto read = database.read([&](Transaction& transaction) {
    letters.clear();
    return done_or_error(transaction.execute(
        "SELECT l.id, r.status, l.run_id, r.flow_id, l.node_id, l.reason, l.created_at FROM dead_letters l JOIN runs r ON r.id = l.run_id "
        "WHERE l.user_id = $1 AND l.id < $2 ORDER BY l.id DESC LIMIT $3",
        {std::string_view(owner), before.empty() ? "~" : before, std::int64_t{limit}}, [&](const Row& row) {
          letters.push_back({.id = std::string(row.text(0)),
                             .kind = row.text(1) == "paused" ? "maybe" : "failed",
                             .run = RunId::parse(row.text(2)).value_or(RunId{}),
                             .flow = FlowId::parse(row.text(3)).value_or(FlowId{}),
                             .node = std::string(row.text(4)),
                             .reason = std::string(row.text(5)),
                             .created = from_micros(row.integer(6))});
        }));
  });
  if (!read) return std::unexpected(read.error());
  return letters;
}

Result<> dismiss_dead_letter(store::Database& database, UserId user, std::string_view id) {
  const auto owner = user.to_string();
  return database.write([&](Transaction& transaction) -> Result<> {
    bool waits = false;
    auto rows = transaction.execute("SELECT r.status FROM dead_letters l JOIN runs r ON r.id = l.run_id WHERE l.id = $1 AND l.user_id = $2",
                                    {id, std::string_view(owner)}, [&](const Row& row) { waits = row.text(0) == "paused"; });
    if (!rows) return std::unexpected(rows.error());
    if (waits) return fail(Errc::conflict, "its run waits for a decision about it: decide, or cancel the run");
    auto removed = transaction.execute("DELETE FROM dead_letters WHERE id = $1 AND user_id = $2", {id, std::string_view(owner)});
    if (!removed) return std::unexpected(removed.error());
    if (*removed == 0) return fail(Errc::not_found, fmt::format("there is no dead letter {}", id));
    return {};
  });
}

}  // namespace patchbay::engine
