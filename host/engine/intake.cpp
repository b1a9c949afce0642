#include "engine/intake.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/log.hpp"

namespace patchbay::engine {
namespace {

constexpr int kClaim = 100;  // whose events are in memory at once
constexpr std::size_t kLongestKey = 200;

// A long key is told by its hash: that two share one costs order where none was asked for, and nothing else.
std::string key_of(const flow::Flow& rules, const std::string& trigger_node, const journal::EventRecord& event,
                   const std::shared_ptr<const JsonDocument>& body) {
  auto document = body;
  if (!event.is_body) {
    if (auto parsed = JsonDocument::parse(event.data)) document = *std::move(parsed);
  }
  auto key = document ? rules.key_of(trigger_node, document->root()) : "";
  if (key.size() > kLongestKey) key = fmt::format("#{:016x}", std::hash<std::string>{}(key));
  return key;
}

}  // namespace

Intake::Intake(Loop& loop, Executor& background, const Clock& clock, journal::Journal& journal, RunStore& runs,
               FlowCache& flows, Runner& runner, IntakeSettings settings, bool shared)
    : loop_(loop),
      background_(background),
      clock_(clock),
      journal_(journal),
      runs_(runs),
      flows_(flows),
      runner_(runner),
      settings_(settings),
      shared_(shared),
      events_(metrics::counter("patchbay_events_total", "Events recorded")),
      duplicates_(metrics::counter("patchbay_duplicate_events_total", "Events dropped because their key was known")) {
  runner_.on_left([this](FlowId flow, std::optional<Timestamp> due) {
    if (due) look_at(*due);
    else if (look_more_ && !looking_ && runner_.is_half_empty() && !is_full(flow)) look();
  });
}

Intake::~Intake() { *alive_ = false; }

void Intake::commit(Batch batch, Done done) {
  const auto now = clock_.now();
  const auto& record = batch.watch->record;
  journal::Ingest ingest;
  ingest.watch = record.id;
  ingest.flow = record.flow;
  ingest.flow_version = record.flow_version;
  ingest.user = record.user;
  ingest.revision = batch.revision;
  ingest.now = now;
  ingest.delivery = std::move(batch.delivery);
  ingest.finished_delivery = std::move(batch.finished_delivery);
  ingest.state = std::move(batch.state);
  ingest.state_version = batch.state_version;
  ingest.next_at = batch.next_at;
  std::vector<RunId> runs;
  for (auto& event : batch.events) {
    auto& added = ingest.events.emplace_back();
    added.id = EventId::make(now);
    added.run = RunId::make(now);
    added.key = std::move(event.key);
    added.is_body = event.is_request_body;
    added.data = std::move(event.data);
    added.occurred = event.occurred;
    choose_place(added, ingest, record.node, batch.body);
    if (!added.claimed) continue;
    committing_.insert(added.run);
    runs.push_back(added.run);
  }
  auto finished = [this, alive = alive_, watch = batch.watch, runs = std::move(runs), body = std::move(batch.body),
                   done = std::move(done)](Result<journal::Ingest> result) mutable {
    if (!*alive) return;
    if (!result) {
      for (const auto& run : runs) committing_.erase(run);
      // A database that went away may have committed it all the same.
      if (result.error().code == Errc::unavailable) recount_later();
      return done(std::unexpected(result.error()));
    }
    committed(watch, *result, body);
    done({});
  };
  // The queue gives everything back when it is full, but then the callback is with it: it is called through a box.
  auto box = std::make_shared<decltype(finished)>(std::move(finished));
  if (auto queued = journal_.append(ingest, [box](Result<journal::Ingest> r) { (*box)(std::move(r)); }); !queued) {
    (*box)(std::unexpected(queued.error()));
  }
}

void Intake::committed(const std::shared_ptr<Watch>& watch, const journal::Ingest& ingest,
                       const std::shared_ptr<const JsonDocument>& body) {
  if (ingest.state) {
    watch->record.state = *ingest.state;
    watch->record.state_version = ingest.state_version;
    ++watch->record.revision;
  }
  bool free = false;
  for (const auto& event : ingest.events) {
    committing_.erase(event.run);
    if (event.duplicate) {
      duplicates_.increment();
      continue;
    }
    events_.increment();
    if (!event.claimed) {
      free = true;
      continue;
    }
    auto data = body;
    if (!event.is_body) {
      auto parsed = JsonDocument::parse(event.data);
      if (!parsed) {  // the task table has checked it
        log::error("engine", "event {} is not JSON: {}", event.id.to_string(), parsed.error().message);
        continue;
      }
      data = *std::move(parsed);
    }
    start_run(ingest, event, watch->record.node, std::move(data));
  }
  if (free) look();
}

// Of one flow no more are in memory than leave room for the others; and where other hosts may help, no more than this one
// can begin soon.
bool Intake::is_full(const Runner::Share& share) const {
  return share.runs >= settings_.runs_of_flow || (shared_ && share.waiting >= runner_.places());
}

bool Intake::is_full(FlowId flow) const {
  const auto found = runner_.shares().find(flow);
  return found != runner_.shares().end() && is_full(found->second);
}

// Whether this host carries the run out at once, or in which lane it waits.
void Intake::choose_place(journal::EventRecord& event, const journal::Ingest& ingest, const std::string& trigger_node,
                          const std::shared_ptr<const JsonDocument>& body) {
  event.claimed = runner_.size() + committing_.size() < runner_.limit() && !is_full(ingest.flow);
  const auto flow = flows_.get(ingest.flow, ingest.flow_version, ingest.user);
  if (!flow) return;  // told when it begins
  const auto& rules = *(*flow)->flow;
  const auto id = ingest.flow.to_string();
  if (rules.order == flow::Order::strict || rules.concurrency > 0) {
    event.lane = id;
    event.lane_width = rules.order == flow::Order::strict ? 1 : rules.concurrency;
  } else if (rules.order == flow::Order::per_key) {
    event.lane = id + ":" + key_of(rules, trigger_node, event, body);
    event.lane_width = 1;
  }
  if (!event.lane.empty()) event.claimed = false;
}

void Intake::start_run(const journal::Ingest& ingest, const journal::EventRecord& event,
                       const std::string& trigger_node, std::shared_ptr<const JsonDocument> data) {
  NewRun run{event.run, ingest.user, event.id, nullptr, trigger_node, std::move(data)};
  auto flow = flows_.get(ingest.flow, ingest.flow_version, ingest.user);
  if (!flow) return runner_.put_off(run, clock_.now() + settings_.load_retry, flow.error().message);
  run.flow = *std::move(flow);
  runner_.start(std::move(run));
}

void Intake::begin() {
  look();
  look_later();
  recount_later();
  recount_now_and_then();
}

void Intake::recount_now_and_then() {
  loop_.after(settings_.recount, [this, alive = alive_] {
    if (!*alive) return;
    recount();
    recount_now_and_then();
  });
}

void Intake::look_later() {
  loop_.after(settings_.look, [this, alive = alive_] {
    if (!*alive) return;
    look();
    look_later();
  });
}

// One timer, for the first of them.
void Intake::look_at(Timestamp due) {
  if (wake_at_ && *wake_at_ <= due) return;
  if (wake_ != 0) loop_.cancel(wake_);
  wake_at_ = due;
  const auto pause = std::chrono::ceil<std::chrono::milliseconds>(due - clock_.now());
  if (pause > settings_.look) {  // the regular look comes first
    wake_ = 0;
    wake_at_.reset();
    return;
  }
  wake_ = loop_.after(std::max(pause, std::chrono::milliseconds{0}), [this, alive = alive_] {
    if (!*alive) return;
    wake_ = 0;
    wake_at_.reset();
    look();
  });
}

void Intake::look() {
  const auto room = std::min<std::size_t>(runner_.room(), kClaim);
  if (looking_ || room == 0) {
    look_more_ = true;
    return;
  }
  looking_ = true;
  look_more_ = false;
  std::vector<FlowId> full;
  for (const auto& [flow, share] : runner_.shares()) {
    if (is_full(share)) full.push_back(flow);
  }
  background_.post([this, alive = alive_, now = clock_.now(), limit = static_cast<int>(room), full = std::move(full)] {
    auto result = runs_.claim(now, limit, full);
    if (shared_ && result && result->has_held_runs()) flows_.refresh_connections();  // another host may have mended them
    loop_.post([this, alive, result = std::move(result), limit]() mutable {
      if (*alive) claimed(std::move(result), limit);
    });
  });
}

void Intake::claimed(Result<Claimed> result, int limit) {
  looking_ = false;
  if (!result) {
    log::error("engine", "open runs could not be claimed: {}", result.error().message);
    return recount_later();  // they may have been, all the same
  }
  for (auto& run : result->runs) resume(run);
  if (std::ssize(result->runs) == limit || std::exchange(look_more_, false)) return look();
  if (!result->runs.empty() || !result->next) return;
  if (*result->next > clock_.now()) look_at(*result->next);
  else look_more_ = true;  // of flows that are full here: when one of their runs ends, or another host has room
}

void Intake::resume(OpenRun& open) {
  NewRun run{open.id, open.user, open.event, nullptr, open.trigger_node, nullptr, open.lane, open.lane_width};
  auto flow = flows_.get(open.flow, open.flow_version, open.user);
  auto data = JsonDocument::parse(open.data);
  if (!flow || !data) {
    const auto& error = flow ? data.error() : flow.error();
    const auto until = !flow && may_pass(error.code) ? std::optional(clock_.now() + settings_.load_retry) : std::nullopt;
    return runner_.put_off(run, until, error.message);
  }
  if (run.trigger_node.empty()) {  // the watch is gone
    const auto& nodes = (*flow)->flow->nodes;
    const auto found =
        std::find_if(nodes.begin(), nodes.end(), [](const auto& node) { return node.kind == flow::NodeKind::trigger; });
    if (found != nodes.end()) run.trigger_node = found->id;
  }
  run.flow = *std::move(flow);
  run.data = *std::move(data);
  runner_.resume(std::move(run), {std::move(open.steps), open.started, open.interrupted});
}

// What was committed without an answer has this host's name, but this host does not know it. Lanes: two hosts may have
// missed each other.
void Intake::recount_later() {
  const bool soon = std::exchange(recount_soon_, true);
  if (soon) return;
  loop_.after(settings_.load_retry, [this, alive = alive_] {
    if (!*alive) return;
    recount_soon_ = false;
    recount();
  });
}

void Intake::recount() {
  if (std::exchange(recounting_, true)) return;
  background_.post([this, alive = alive_, now = clock_.now()] {
    auto own = runs_.own();
    auto opened = runs_.open_stuck_lanes(now);
    loop_.post([this, alive, own = std::move(own), opened = std::move(opened)] {
      if (!*alive) return;
      recounting_ = false;
      if (!own || !opened) return recount_later();
      give_up_unknown(*own);
      if (*opened) look();
    });
  });
}

// A claim that is under way has been answered before: both are asked on the background's thread, one after another.
void Intake::give_up_unknown(const std::vector<RunId>& own) {
  std::vector<RunId> unknown;
  for (const auto& run : own) {
    if (!runner_.holds(run) && !committing_.contains(run)) unknown.push_back(run);
  }
  if (unknown.empty()) return;
  background_.post([this, alive = alive_, unknown = std::move(unknown), now = clock_.now()] {
    auto given = runs_.give_up(unknown, now);
    loop_.post([this, alive, given = std::move(given)] {
      if (!*alive) return;
      if (!given) return recount_later();
      look();
    });
  });
}

}  // namespace patchbay::engine
