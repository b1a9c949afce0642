#include "journal/journal.hpp"

#include <array>

#include "journal/ingest_item.hpp"
#include "journal/ingest_writer.hpp"

namespace patchbay::journal {

std::string_view name_of(DeliveryStatus status) {
  constexpr std::array<std::string_view, 5> kNames{"pending", "processing", "processed", "retry_ready", "dead"};
  return kNames.at(static_cast<std::size_t>(status));
}

void Journal::attach(store::GroupCommit& queue, std::size_t place) {
  queue_ = &queue;
  place_ = place;
}

Result<> Journal::append(Ingest& ingest, Done done) {
  const bool has_body = ingest.delivery || ingest.finished_delivery;
  if (ingest.delivery && ingest.finished_delivery) return fail(Errc::invalid, "an ingest has one delivery at most");
  for (const auto& event : ingest.events) {
    if (event.is_body && !has_body) return fail(Errc::invalid, "an event without a delivery has no body to point to");
  }
  std::unique_ptr<store::GroupCommit::Item> item = std::make_unique<IngestItem>(std::move(ingest), std::move(done));
  auto queued = queue_->submit(place_, item);
  if (!queued) ingest = std::move(static_cast<IngestItem&>(*item).ingest());
  return queued;
}

Result<std::int64_t> fill_lanes(store::Transaction& transaction, std::span<const store::Param> lanes) {
  return transaction.execute_many(
      "UPDATE runs SET wake_at = $3 WHERE id IN (SELECT id FROM runs WHERE lane = $1 AND host IS NULL AND wake_at IS NULL "
      "AND status IN ('pending', 'running') ORDER BY id LIMIT (SELECT CASE WHEN COUNT(*) < $2 THEN $2 - COUNT(*) ELSE 0 END FROM runs "
      "WHERE lane = $1 AND status IN ('pending', 'running') AND (host IS NOT NULL OR wake_at IS NOT NULL)))",
      3, lanes);
}

Result<std::int64_t> advance_lanes(store::Transaction& transaction, std::span<const store::Param> lanes) {
  return transaction.execute_many(
      "UPDATE runs SET wake_at = $2 WHERE id IN (SELECT id FROM runs WHERE lane = $1 AND host IS NULL AND wake_at IS NULL "
      "AND status IN ('pending', 'running') ORDER BY id LIMIT 1)",
      2, lanes);
}

Result<> Journal::apply(store::Transaction& transaction, std::span<store::GroupCommit::Item* const> items) {
  return IngestWriter(transaction, items, host_).write();
}

}  // namespace patchbay::journal
