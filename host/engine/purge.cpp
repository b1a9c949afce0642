#include "engine/purge.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace patchbay::engine {
namespace {

using store::Param;
using store::Row;
using store::Transaction;

struct Victim {
  std::string run;
  std::string event;
  std::string end_of_letters;  // dead letters are named <run>:<node>
  std::string first_letter;
};

Result<> done_or_error(const Result<std::int64_t>& result) {
  if (!result) return std::unexpected(result.error());
  return {};
}

std::string_view before_or_all(const PurgeWish& wish) {
  return wish.before.empty() ? "~" : std::string_view(wish.before);  // "~" sorts behind every id
}

Result<std::vector<Victim>> find_victims(Transaction& transaction, const PurgeWish& wish) {
  std::vector<Victim> victims;
  const auto before = before_or_all(wish);
  const auto on_row = [&victims](const Row& row) {
    const std::string run(row.text(0));
    victims.push_back({run, std::string(row.text(1)), run + ";", run + ":"});
  };
  // One statement each, so that each has the index that it needs.
  const std::initializer_list<Param> of_all{std::string_view(wish.after), before, std::int64_t{wish.runs}};
  const auto& one = wish.flow.empty() ? wish.user : wish.flow;
  const std::initializer_list<Param> of_one{std::string_view(wish.after), before, std::int64_t{wish.runs}, std::string_view(one)};
  auto rows = wish.flow.empty() && wish.user.empty()
                  ? transaction.execute("SELECT id, event_id FROM runs WHERE id > $1 AND id < $2 AND finished_at IS NOT NULL AND event_id NOT IN ("
                                        "SELECT event_id FROM runs WHERE replay_of IS NOT NULL AND status IN ('pending', 'running')) ORDER BY id LIMIT $3",
                                        of_all, on_row)
              : !wish.flow.empty()
                  ? transaction.execute("SELECT id, event_id FROM runs WHERE flow_id = $4 AND id > $1 AND id < $2 AND finished_at IS NOT NULL AND event_id NOT IN ("
                                        "SELECT event_id FROM runs WHERE replay_of IS NOT NULL AND status IN ('pending', 'running')) ORDER BY id LIMIT $3",
                                        of_one, on_row)
                  : transaction.execute("SELECT id, event_id FROM runs WHERE user_id = $4 AND id > $1 AND id < $2 AND finished_at IS NOT NULL AND event_id NOT IN ("
                                        "SELECT event_id FROM runs WHERE replay_of IS NOT NULL AND status IN ('pending', 'running')) ORDER BY id LIMIT $3",
                                        of_one, on_row);
  if (!rows) return std::unexpected(rows.error());
  return victims;
}

// Those without an event any more: of ids that came with the removed events, or that never brought one.
Result<int> remove_deliveries(Transaction& transaction, const std::vector<std::string>& ids) {
  std::vector<Param> params;
  for (const auto& id : ids) params.emplace_back(std::string_view(id));
  auto removed = transaction.execute_many(
      "DELETE FROM deliveries WHERE id = $1 AND status IN ('processed', 'dead') AND NOT EXISTS (SELECT 1 FROM events WHERE delivery_id = $1)", 1, params);
  if (!removed) return std::unexpected(removed.error());
  return static_cast<int>(*removed);
}

}  // namespace

std::string purge_boundary(Timestamp time) {
  const auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(micros(time) / 1000, 0));
  return fmt::format("{:08x}-{:04x}-0000-0000-000000000000", ms >> 16, ms & 0xffff);
}

Result<Purged> purge(Transaction& transaction, const PurgeWish& wish) {
  Purged purged;
  auto victims = find_victims(transaction, wish);
  if (!victims) return std::unexpected(victims.error());
  purged.runs = static_cast<int>(victims->size());
  if (!victims->empty()) purged.last = victims->back().run;

  std::vector<Param> runs;
  std::vector<Param> letters;
  std::vector<Param> events;
  for (const auto& victim : *victims) {
    runs.emplace_back(std::string_view(victim.run));
    letters.insert(letters.end(), {std::string_view(victim.first_letter), std::string_view(victim.end_of_letters)});
    events.insert(events.end(), {std::string_view(victim.event), std::string_view(victim.run)});
  }
  std::vector<std::string> deliveries;
  // A replay's event is its original's, and goes with that one.
  if (auto read = done_or_error(transaction.execute_many("SELECT delivery_id FROM events WHERE id = $1 AND run_id = $2 AND delivery_id IS NOT NULL", 2, events,
                                                         [&](const Row& row) { deliveries.emplace_back(row.text(0)); }));
      !read) {
    return std::unexpected(read.error());
  }
  // Of the same time, brought nothing: known already, not wanted, or dead.
  if (wish.flow.empty() && wish.user.empty()) {
    const std::string_view until = purged.last.empty() ? before_or_all(wish) : std::string_view(purged.last);
    if (auto read = done_or_error(transaction.execute(
            "SELECT id FROM deliveries WHERE id < $1 AND events = 0 AND status IN ('processed', 'dead') ORDER BY id LIMIT $2",
            {until, std::int64_t{wish.runs}}, [&](const Row& row) { deliveries.emplace_back(row.text(0)); }));
        !read) {
      return std::unexpected(read.error());
    }
  }
  for (const auto& [sql, columns, params] : {std::tuple{"DELETE FROM steps WHERE run_id = $1", 1, &runs},
                                             std::tuple{"DELETE FROM dead_letters WHERE id >= $1 AND id < $2", 2, &letters},
                                             std::tuple{"DELETE FROM events WHERE id = $1 AND run_id = $2", 2, &events},
                                             std::tuple{"DELETE FROM runs WHERE id = $1", 1, &runs}}) {
    auto removed = transaction.execute_many(sql, static_cast<std::size_t>(columns), *params);
    if (!removed) return std::unexpected(removed.error());
  }
  auto removed = remove_deliveries(transaction, deliveries);
  if (!removed) return std::unexpected(removed.error());
  purged.deliveries = *removed;
  return purged;
}

}  // namespace patchbay::engine
