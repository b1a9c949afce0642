#include "journal/ingest_writer.hpp"

#include <map>
#include <set>
#include <unordered_map>
#include <utility>

namespace patchbay::journal {
namespace {

using store::Param;

Param text_or_null(std::string_view text) { return text.empty() ? Param{nullptr} : Param{text}; }
Param time_or_null(const std::optional<Timestamp>& time) { return time ? Param{micros(*time)} : Param{nullptr}; }
Param status_or_null(int http_status) { return http_status == 0 ? Param{nullptr} : Param{std::int64_t{http_status}}; }

}  // namespace

IngestWriter::IngestWriter(store::Transaction& transaction, std::span<store::GroupCommit::Item* const> items, std::string_view host)
    : transaction_(transaction), host_(host) {
  items_.reserve(items.size());
  params_.reserve(items.size() * 16);
  for (auto* item : items) {
    auto* ingest = static_cast<IngestItem*>(item);
    ingest->begin_try();
    items_.push_back(ingest);
  }
}

Result<> IngestWriter::write() {
  if (auto done = refuse_stopped(); !done) return done;
  // Events first: a delivery's row says how many of its events were new.
  if (auto done = insert_events(); !done) return done;
  if (auto done = insert_deliveries(); !done) return done;
  if (auto done = insert_runs(); !done) return done;
  if (auto done = hand_over_runs(); !done) return done;
  if (auto done = update_deliveries(); !done) return done;
  return update_watches();
}

Result<std::int64_t> IngestWriter::flush(std::string_view sql, std::size_t columns, const store::OnRow& on_row) {
  if (params_.empty()) return 0;
  auto changed = transaction_.execute_many(sql, columns, params_, on_row);
  params_.clear();
  return changed;
}

// One look-up for each watch of the batch. It stands in the writing transaction, so a watch cannot be stopped between
// this and the commit.
Result<> IngestWriter::refuse_stopped() {
  std::unordered_map<WatchId, std::optional<std::int64_t>> revisions;  // of those that are active
  for (const auto* item : items_) {
    if (revisions.try_emplace(item->ingest().watch).second) params_.emplace_back(item->watch_text.view());
  }
  auto read = flush("SELECT id, revision FROM watches WHERE id = $1 AND status = 'active'", 1, [&revisions](const store::Row& row) {
    if (const auto id = WatchId::parse(row.text(0))) revisions[*id] = row.integer(1);
  });
  if (!read) return std::unexpected(read.error());
  std::erase_if(items_, [&revisions](IngestItem* item) {
    const auto& stored = revisions[item->ingest().watch];
    const auto& known = item->ingest().revision;
    if (!stored) item->refused = Errc::not_found;
    else if (known && *known != *stored) item->refused = Errc::conflict;
    return item->refused.has_value();
  });
  return {};
}

Result<> IngestWriter::insert_events() {
  std::int64_t events = 0;
  for (const auto* item : items_) {
    const auto source = item->source() != nullptr ? Param{item->source_text.view()} : Param{nullptr};
    for (std::size_t i = 0; i < item->event_texts.size(); ++i, ++events) {
      const auto& event = item->ingest().events[i];
      params_.insert(params_.end(),
                     {item->event_texts[i].id.view(), item->watch_text.view(), std::string_view(event.key), source,
                      item->event_texts[i].run.view(), event.is_body ? Param{nullptr} : Param{std::string_view(event.data)}, micros(event.occurred),
                      micros(item->ingest().now)});
    }
  }
  auto added = flush(
      "INSERT INTO events (id, watch_id, event_key, delivery_id, run_id, data, occurred_at, received_at) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (watch_id, event_key) DO NOTHING",
      8);
  if (!added) return std::unexpected(added.error());
  // Which of them were known is asked only when some were: RETURNING on each insert costs more than all this saves.
  return *added == events ? Result<>{} : mark_duplicates();
}

Result<> IngestWriter::mark_duplicates() {
  std::unordered_map<std::string_view, EventRecord*> missing;
  for (auto* item : items_) {
    for (std::size_t i = 0; i < item->event_texts.size(); ++i) {
      auto& event = item->ingest().events[i];
      event.duplicate = true;
      missing.emplace(item->event_texts[i].id.view(), &event);
      params_.emplace_back(item->event_texts[i].id.view());
    }
  }
  auto read = flush("SELECT id FROM events WHERE id = $1", 1, [&missing](const store::Row& row) {
    if (const auto found = missing.find(row.text(0)); found != missing.end()) found->second->duplicate = false;
  });
  if (!read) return std::unexpected(read.error());
  return find_known();
}

// For `why`: which event a sender's second try was.
Result<> IngestWriter::find_known() {
  std::map<std::pair<std::string_view, std::string_view>, IngestItem*> wanted;
  for (auto* item : items_) {
    for (const auto& event : item->ingest().events) {
      if (!event.duplicate || item->source() == nullptr) continue;
      wanted.emplace(std::pair(item->watch_text.view(), std::string_view(event.key)), item);
      params_.insert(params_.end(), {item->watch_text.view(), std::string_view(event.key)});
    }
  }
  auto read = flush("SELECT watch_id, event_key, id FROM events WHERE watch_id = $1 AND event_key = $2", 2, [&wanted](const store::Row& row) {
    const auto found = wanted.find({row.text(0), row.text(1)});
    if (found != wanted.end()) found->second->known_event = row.text(2);
  });
  if (!read) return std::unexpected(read.error());
  return {};
}

// A redelivery has its row too, with no events: `why` can tell the sender's second try from one that never came.
Result<> IngestWriter::insert_deliveries() {
  for (const auto* item : items_) {
    const auto& delivery = item->ingest().delivery;
    if (!delivery) continue;
    params_.insert(
        params_.end(),
        {item->source_text.view(), item->watch_text.view(), item->flow_text.view(), item->user_text.view(),
         micros(delivery->received), std::string_view(delivery->method), std::string_view(delivery->query),
         std::string_view(delivery->headers_json), store::Blob{item->body.stored()}, item->body.size(),
         name_of(delivery->status), std::int64_t{delivery->attempt}, time_or_null(delivery->next), status_or_null(delivery->http_status),
         std::int64_t{item->fresh_events()}, text_or_null(delivery->error), text_or_null(item->known_event)});
  }
  auto added = flush(
      "INSERT INTO deliveries (id, watch_id, flow_id, user_id, received_at, method, query, headers, body, body_size, "
      "status, attempt, next_at, http_status, events, error, known_event) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
      17);
  if (!added) return std::unexpected(added.error());
  return {};
}

Result<> IngestWriter::insert_runs() {
  for (const auto* item : items_) {
    const auto& ingest = item->ingest();
    for (std::size_t i = 0; i < item->event_texts.size(); ++i) {
      if (ingest.events[i].duplicate) continue;
      const auto& event = ingest.events[i];
      const bool claimed = event.claimed && event.lane.empty();
      params_.insert(params_.end(), {item->event_texts[i].run.view(), item->flow_text.view(),
                                     std::int64_t{ingest.flow_version}, item->user_text.view(), item->watch_text.view(),
                                     item->event_texts[i].id.view(), micros(ingest.now),
                                     claimed ? Param{host_} : Param{nullptr},
                                     claimed || !event.lane.empty() ? Param{nullptr} : Param{micros(ingest.now)},
                                     text_or_null(event.lane), event.lane.empty() ? Param{nullptr} : Param{std::int64_t{event.lane_width}}});
    }
  }
  auto added = flush(
      "INSERT INTO runs (id, flow_id, flow_version, user_id, watch_id, event_id, status, created_at, host, wake_at, lane, lane_width) "
      "VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8, $9, $10, $11)",
      11);
  if (!added) return std::unexpected(added.error());
  return {};
}

// Those that are not this host's at once: whoever has room is told.
Result<> IngestWriter::hand_over_runs() {
  bool free = false;
  std::set<std::string_view> lanes;
  for (const auto* item : items_) {
    for (const auto& event : item->ingest().events) {
      if (event.duplicate) continue;
      free |= !event.claimed && event.lane.empty();
      if (event.lane.empty() || !lanes.insert(event.lane).second) continue;
      params_.insert(params_.end(), {std::string_view(event.lane), std::int64_t{event.lane_width}, micros(item->ingest().now)});
    }
  }
  if (!lanes.empty()) {
    auto opened = fill_lanes(transaction_, std::exchange(params_, {}));
    if (!opened) return std::unexpected(opened.error());
    free |= *opened > 0;
  }
  return free ? transaction_.announce() : Result<>{};
}

Result<> IngestWriter::update_deliveries() {
  // A claim counts the attempt up, so who comes after the end of his lease changes nothing.
  std::vector<IdText> ids;
  ids.reserve(items_.size());  // views point into it
  for (const auto* item : items_) {
    const auto& delivery = item->ingest().finished_delivery;
    if (!delivery) continue;
    ids.emplace_back(delivery->id.uuid());
    params_.insert(params_.end(), {ids.back().view(), name_of(delivery->status), std::int64_t{delivery->attempt},
                                   time_or_null(delivery->next), status_or_null(delivery->http_status),
                                   std::int64_t{item->fresh_events()}, text_or_null(delivery->error), text_or_null(item->known_event)});
  }
  auto changed = flush(
      "UPDATE deliveries SET status = $2, attempt = $3, next_at = $4, http_status = $5, events = events + $6, error = "
      "$7, known_event = $8 "
      "WHERE id = $1 AND attempt = $3 AND status = 'processing'",
      8);
  if (!changed) return std::unexpected(changed.error());
  return {};
}

// A watch's later Ingests of one batch overwrite the earlier ones, so one row is written.
Result<> IngestWriter::update_watches() {
  struct Change {
    const IngestItem* state = nullptr;
    const IngestItem* next = nullptr;
  };
  std::unordered_map<std::string_view, Change> changes;
  for (const auto* item : items_) {
    const auto& ingest = item->ingest();
    if (ingest.state) changes[item->watch_text.view()].state = item;
    if (ingest.next_at) changes[item->watch_text.view()].next = item;
  }
  for (const auto& [watch, change] : changes) {
    const auto* state = change.state != nullptr ? &change.state->ingest() : nullptr;
    params_.insert(params_.end(),
                   {watch, state != nullptr ? Param{std::string_view(*state->state)} : Param{nullptr},
                    state != nullptr ? Param{std::int64_t{state->state_version}} : Param{nullptr},
                    change.next != nullptr ? Param{micros(*change.next->ingest().next_at)} : Param{nullptr},
                    change.next != nullptr ? Param{host_} : Param{nullptr}, std::int64_t{state != nullptr ? 1 : 0}});
  }
  auto changed = flush(
      "UPDATE watches SET state = COALESCE($2, state), state_version = COALESCE($3, state_version), "
      "next_at = COALESCE($4, next_at), host = COALESCE(host, $5), revision = revision + $6, error = NULL WHERE id = $1",
      6);
  if (!changed) return std::unexpected(changed.error());
  return {};
}

}  // namespace patchbay::journal
