// Reading deliveries back, and claiming those that are not processed yet.
#include <fmt/format.h>

#include "core/log.hpp"
#include "journal/journal.hpp"
#include "journal/packed_body.hpp"

namespace patchbay::journal {
namespace {

using store::Row;
using store::Transaction;

void read_summary(const Row& row, DeliverySummary& summary) {
  summary.id = DeliveryId::parse(row.text(0)).value_or(DeliveryId{});
  summary.watch = WatchId::parse(row.text(1)).value_or(WatchId{});
  summary.flow = FlowId::parse(row.text(2)).value_or(FlowId{});
  summary.received = from_micros(row.integer(3));
  summary.method = row.text(4);
  summary.status = row.text(5);
  summary.attempt = static_cast<int>(row.integer(6));
  summary.http_status = static_cast<int>(row.integer(7));
  summary.events = static_cast<int>(row.integer(8));
  summary.body_bytes = row.integer(9);
  summary.error = row.text(10);
}

Result<> done_or_error(const Result<std::int64_t>& result) {
  if (!result) return std::unexpected(result.error());
  return {};
}

OpenDelivery to_open(const Row& row) {
  OpenDelivery open;
  auto& record = open.record;
  record.id = DeliveryId::parse(row.text(0)).value_or(DeliveryId{});
  record.watch = WatchId::parse(row.text(1)).value_or(WatchId{});
  record.flow = FlowId::parse(row.text(2)).value_or(FlowId{});
  record.user = UserId::parse(row.text(3)).value_or(UserId{});
  record.received = from_micros(row.integer(4));
  record.method = row.text(5);
  record.query = row.text(6);
  record.headers_json = row.text(7);
  auto unpacked = unpack_body(row.blob(8), row.integer(13));
  if (!unpacked) log::error("journal", "delivery {}: {}", record.id.to_string(), unpacked.error().message);
  auto body = std::make_shared<const std::string>(std::move(unpacked).value_or(""));
  record.body = *body;
  record.owner = std::move(body);
  record.status = DeliveryStatus::processing;
  record.attempt = static_cast<int>(row.integer(9));
  record.next = from_micros(row.integer(10));
  record.http_status = static_cast<int>(row.integer(11));
  record.error = row.text(12);
  return open;
}

// Asked often and mostly in vain, so a reader asks: the writer has the commits to do.
Result<bool> any_due(store::Database& database, Timestamp now) {
  bool due = false;
  auto read = database.read([&](Transaction& transaction) {
    return done_or_error(
        transaction.execute("SELECT 1 FROM deliveries WHERE status IN ('pending', 'processing', 'retry_ready') "
                            "AND (next_at IS NULL OR next_at <= $1) LIMIT 1",
                            {micros(now)}, [&due](const Row&) { due = true; }));
  });
  if (!read) return std::unexpected(read.error());
  return due;
}

}  // namespace

Result<std::vector<DeliverySummary>> list_deliveries(store::Database& database, const DeliveryFilter& filter) {
  const std::string user = filter.user.to_string();
  const std::string watch = filter.watch ? filter.watch->to_string() : "";
  const std::string flow = filter.flow ? filter.flow->to_string() : "";
  const std::string status = filter.status.value_or("");
  const std::string before = filter.before ? filter.before->to_string() : "~";  // sorts behind every id
  std::vector<DeliverySummary> list;
  auto read = database.read([&](Transaction& transaction) {
    list.clear();
    return done_or_error(transaction.execute(
        "SELECT id, watch_id, flow_id, received_at, method, status, attempt, http_status, events, body_size, error "
        "FROM deliveries WHERE user_id = $1 AND id < $2 AND ($3 = '' OR watch_id = $3) AND ($4 = '' OR flow_id = $4) "
        "AND ($5 = '' OR status = $5) ORDER BY id DESC LIMIT $6",
        {std::string_view(user), std::string_view(before), std::string_view(watch), std::string_view(flow),
         std::string_view(status), std::int64_t{filter.limit}},
        [&list](const Row& row) { read_summary(row, list.emplace_back()); }));
  });
  if (!read) return std::unexpected(read.error());
  return list;
}

Result<DeliveryDetail> find_delivery(store::Database& database, UserId user, DeliveryId id) {
  const std::string owner = user.to_string();
  const std::string wanted = id.to_string();
  std::optional<DeliveryDetail> found;
  auto read = database.read([&](Transaction& transaction) -> Result<> {
    found.reset();
    Result<> unpacked;
    auto rows = transaction.execute(
        "SELECT id, watch_id, flow_id, received_at, method, status, attempt, http_status, events, body_size, error, "
        "query, headers, body FROM deliveries WHERE id = $1 AND user_id = $2",
        {std::string_view(wanted), std::string_view(owner)}, [&](const Row& row) {
          auto& detail = found.emplace();
          read_summary(row, detail);
          detail.query = row.text(11);
          detail.headers_json = row.text(12);
          auto body = unpack_body(row.blob(13), row.integer(9));
          if (body) detail.body = *std::move(body);
          else unpacked = std::unexpected(body.error());
        });
    if (!rows || !found) return done_or_error(rows);
    if (!unpacked) return unpacked;
    return done_or_error(transaction.execute(
        "SELECT e.id, e.event_key, r.id FROM events e LEFT JOIN runs r ON r.id = e.run_id WHERE e.delivery_id = $1 "
        "ORDER BY e.id",
        {std::string_view(wanted)}, [&found](const Row& row) {
          auto& event = found->event_list.emplace_back();
          event.id = EventId::parse(row.text(0)).value_or(EventId{});
          event.key = row.text(1);
          if (!row.is_null(2)) event.run = RunId::parse(row.text(2));
        }));
  });
  if (!read) return std::unexpected(read.error());
  if (!found) return fail(Errc::not_found, fmt::format("there is no delivery {}", wanted));
  return *std::move(found);
}

Result<std::vector<OpenDelivery>> claim_open_deliveries(store::Database& database, Timestamp now, Duration lease,
                                                        int limit) {
  const auto due = any_due(database, now);
  if (!due) return std::unexpected(due.error());
  std::vector<OpenDelivery> claimed;
  if (!*due) return claimed;
  auto written = database.write([&](Transaction& transaction) {
    claimed.clear();
    // Ordered by next_at, so that the index of what is open is read and not the table, which holds the bodies.
    return done_or_error(transaction.execute(
        "UPDATE deliveries SET status = 'processing', attempt = attempt + 1, next_at = $2 WHERE id IN ("
        "SELECT id FROM deliveries WHERE status IN ('pending', 'processing', 'retry_ready') "
        "AND (next_at IS NULL OR next_at <= $1) ORDER BY next_at NULLS FIRST LIMIT $3 /*postgresql: FOR UPDATE SKIP LOCKED*/) "
        "RETURNING id, watch_id, flow_id, user_id, received_at, method, query, headers, body, attempt, next_at, "
        "http_status, error, body_size",
        {micros(now), micros(now + lease), std::int64_t{limit}},
        [&claimed](const Row& row) { claimed.push_back(to_open(row)); }));
  });
  if (!written) return std::unexpected(written.error());
  std::sort(claimed.begin(), claimed.end(),
            [](const OpenDelivery& a, const OpenDelivery& b) { return a.record.id < b.record.id; });
  return claimed;
}

}  // namespace patchbay::journal
