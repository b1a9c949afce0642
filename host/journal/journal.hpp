#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/id.hpp"
#include "core/time.hpp"
#include "store/database.hpp"
#include "store/group_commit.hpp"

namespace patchbay::journal {

enum class DeliveryStatus { pending, processing, processed, retry_ready, dead };
[[nodiscard]] std::string_view name_of(DeliveryStatus status);

// An inbound request as it is kept.
struct DeliveryRecord {
  DeliveryId id;
  WatchId watch;
  FlowId flow;
  UserId user;
  Timestamp received;
  std::string method;
  std::string query;
  std::string headers_json;  // object; credentials and signatures are left out
  // Keeps the body's bytes alive: body points into *owner.
  std::shared_ptr<const void> owner;
  std::string_view body;
  DeliveryStatus status = DeliveryStatus::processed;
  int attempt = 1;
  std::optional<Timestamp> next;  // when to try again
  int http_status = 0;
  std::string error;
};

struct EventRecord {
  EventId id = {};
  std::string key = {};
  bool is_body = false;   // data is the delivery's body: not stored twice
  std::string data = {};  // JSON, unless is_body
  Timestamp occurred = {};
  RunId run = {};  // the run that it starts, made in the same transaction
  bool claimed = true;  // this host carries the run out at once; otherwise whoever claims it
  std::string lane = {};  // of the run; empty: none. Then it is not claimed, and waits until it is among the lane_width
  int lane_width = 0;     // oldest open ones of its lane
  // Set by the commit: the key was known, nothing was stored and no run made.
  bool duplicate = false;
};

// What one task of a watch wants to be made durable, all or nothing.
struct Ingest {
  WatchId watch;
  FlowId flow;
  int flow_version = 0;
  UserId user;
  std::optional<std::int64_t> revision;  // of the watch, that this was worked out from; none: it holds for any
  Timestamp now;
  std::optional<DeliveryRecord> delivery;  // new
  std::optional<DeliveryRecord>
      finished_delivery;  // stored before; its status, attempt, next, error are brought up to date
  std::vector<EventRecord> events;
  std::optional<std::string> state;  // of the watch
  int state_version = 0;
  std::optional<Timestamp> next_at;  // of the watch: when to poll or renew
};

// The durable inbox: writes Ingests through a GroupCommit, each whole or not at all, events once per watch and key.
// A watch that is stopped in the meantime (its row is gone or not 'active') takes nothing: Errc::not_found; one that was
// changed neither: Errc::conflict.
class Journal : public store::GroupCommit::Applier {
 public:
  using Done = std::move_only_function<void(Result<Ingest>)>;  // the ingest comes back with `duplicate` filled in

  // host: the id of this one.
  explicit Journal(std::string host) : host_(std::move(host)) {}

  // queue: the GroupCommit that this is an applier of, set by the wiring once both exist.
  void attach(store::GroupCommit& queue, std::size_t place);

  // done runs on the group commit's executor after the commit. Errc::exhausted at once (done is not called, ingest is
  // untouched) when the queue is full.
  Result<> append(Ingest& ingest, Done done);

  Result<> apply(store::Transaction& transaction, std::span<store::GroupCommit::Item* const> items) override;

 private:
  const std::string host_;
  store::GroupCommit* queue_ = nullptr;
  std::size_t place_ = 0;
};

// Lets the oldest runs of lanes begin, as many as have room. Rows of three: lane, its width, now. The number of runs.
[[nodiscard]] Result<std::int64_t> fill_lanes(store::Transaction& transaction, std::span<const store::Param> lanes);
// The same where one of the lane has ended: one may follow. Rows of two: lane, now.
[[nodiscard]] Result<std::int64_t> advance_lanes(store::Transaction& transaction, std::span<const store::Param> lanes);

// Reading, for the API, `why` and the restart. Any thread.
struct DeliveryFilter {
  UserId user;  // every query is scoped to its owner
  std::optional<WatchId> watch = {};
  std::optional<FlowId> flow = {};
  std::optional<std::string> status = {};
  int limit = 50;
  std::optional<DeliveryId> before = {};  // cursor: newest first
};
struct DeliverySummary {
  DeliveryId id;
  WatchId watch;
  FlowId flow;
  Timestamp received;
  std::string method;
  std::string status;
  int attempt = 0;
  int http_status = 0;
  int events = 0;
  std::int64_t body_bytes = 0;
  std::string error;
};
struct DeliveryDetail : DeliverySummary {
  std::string query;
  std::string headers_json;
  std::string body;
  struct EventSummary {
    EventId id;
    std::string key;
    std::optional<RunId> run;
  };
  std::vector<EventSummary> event_list;
};
[[nodiscard]] Result<std::vector<DeliverySummary>> list_deliveries(store::Database& database,
                                                                   const DeliveryFilter& filter);
[[nodiscard]] Result<DeliveryDetail> find_delivery(store::Database& database, UserId user, DeliveryId id);

// Deliveries that were answered 202 but are not processed: what a restart and the retry timer go on with.
// Claims up to `limit` that are due (status -> processing, attempt + 1, next_at = now + lease), oldest first.
struct OpenDelivery {
  DeliveryRecord record;  // body owned by record.owner
};
[[nodiscard]] Result<std::vector<OpenDelivery>> claim_open_deliveries(store::Database& database, Timestamp now,
                                                                      Duration lease, int limit);

}  // namespace patchbay::journal
