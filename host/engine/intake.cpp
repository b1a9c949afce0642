#include "engine/intake.hpp"

#include <algorithm>

#include "core/log.hpp"

namespace patchbay::engine {
namespace {

constexpr int kPage = 500;

}  // namespace

Intake::Intake(Loop& loop, Executor& background, const Clock& clock, journal::Journal& journal, RunStore& runs,
               FlowCache& flows, Runner& runner, std::chrono::milliseconds load_retry)
    : loop_(loop),
      background_(background),
      clock_(clock),
      journal_(journal),
      runs_(runs),
      flows_(flows),
      runner_(runner),
      load_retry_(load_retry),
      events_(metrics::counter("patchbay_events_total", "Events recorded")),
      duplicates_(metrics::counter("patchbay_duplicate_events_total", "Events dropped because their key was known")) {
  runner_.on_ended([this](RunId id) {
    if (loading_) ended_.insert(id);
    if (spilled_ && !loading_ && runner_.is_half_empty()) load_open_runs();
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
    committing_.insert(added.run);
    runs.push_back(added.run);
  }
  auto finished = [this, alive = alive_, watch = batch.watch, runs = std::move(runs), body = std::move(batch.body),
                   done = std::move(done)](Result<journal::Ingest> result) mutable {
    if (!*alive) return;
    if (!result) {
      for (const auto& run : runs) committing_.erase(run);
      // A database that went away may have committed it all the same.
      if (!runs.empty() && result.error().code == Errc::unavailable) load_again_later();
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
  }
  for (const auto& event : ingest.events) {
    committing_.erase(event.run);
    if (event.duplicate) {
      duplicates_.increment();
      continue;
    }
    events_.increment();
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
}

void Intake::start_run(const journal::Ingest& ingest, const journal::EventRecord& event,
                       const std::string& trigger_node, std::shared_ptr<const JsonDocument> data) {
  if (!runner_.has_room()) {
    spilled_ = true;
    return;
  }
  auto flow = flows_.get(ingest.flow, ingest.flow_version, ingest.user);
  if (!flow) {
    log::error("engine", "run {} has to wait: {}", event.run.to_string(), flow.error().message);
    load_again_later();
    return;
  }
  runner_.start({event.run, ingest.user, event.id, *std::move(flow), trigger_node, std::move(data)});
}

void Intake::load_again_later() {
  if (std::exchange(load_timer_, true)) return;
  loop_.after(load_retry_, [this, alive = alive_] {
    if (!*alive) return;
    load_timer_ = false;
    load_open_runs();
  });
}

void Intake::load_open_runs() {
  if (loading_) {
    load_more_ = true;
    return;
  }
  loading_ = true;
  spilled_ = false;
  ended_.clear();
  load_page(RunId{});
}

void Intake::load_page(RunId after) {
  background_.post([this, alive = alive_, after] {
    auto page = runs_.load_open(after, kPage);
    loop_.post([this, alive, page = std::move(page)]() mutable {
      if (*alive) loaded(std::move(page), kPage);
    });
  });
}

void Intake::loaded(Result<std::vector<OpenRun>> page, int limit) {
  if (!page) {
    log::error("engine", "open runs could not be read: {}", page.error().message);
    loading_ = false;
    return load_again_later();
  }
  for (auto& run : *page) {
    if (runner_.holds(run.id) || committing_.contains(run.id) || ended_.contains(run.id)) continue;
    if (!runner_.has_room()) {
      spilled_ = true;
      break;
    }
    resume(run);
  }
  if (!spilled_ && std::ssize(*page) == limit) return load_page(page->back().id);
  loading_ = false;
  ended_.clear();
  if (std::exchange(load_more_, false)) load_open_runs();
}

void Intake::resume(OpenRun& run) {
  auto flow = flows_.get(run.flow, run.flow_version, run.user);
  auto data = JsonDocument::parse(run.data);
  if (!flow || !data) {
    log::error("engine", "run {} has to wait: {}", run.id.to_string(),
               flow ? data.error().message : flow.error().message);
    if (!flow && may_pass(flow.error().code)) load_again_later();
    return;
  }
  auto trigger = run.trigger_node;
  if (trigger.empty()) {
    const auto& nodes = (*flow)->flow->nodes;
    const auto found =
        std::find_if(nodes.begin(), nodes.end(), [](const auto& node) { return node.kind == flow::NodeKind::trigger; });
    if (found != nodes.end()) trigger = found->id;
  }
  runner_.resume({run.id, run.user, run.event, *std::move(flow), trigger, *std::move(data)}, run.steps, run.started);
}

}  // namespace patchbay::engine
