#include "engine/runner.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/log.hpp"

namespace patchbay::engine {

struct Runner::Run {
  NewRun start;
  Timestamp started;
  bool interrupted = false;  // its host died: until its first nodes have been launched again
  std::vector<NodeRun> nodes;
  std::vector<JsonView> outputs;
  std::vector<std::shared_ptr<const JsonDocument>> documents;  // that the outputs point into
  std::vector<StepRow> unsaved;                                // decided since the last save, no reaction among them
  std::string error;                                           // the first failure that ends the run
  std::size_t work = flow::kWork;                              // what is left for its conditions, all together
  int saving = 0;                                              // results on their way to the store
  bool unstored = false;                                       // the store has refused it, which was logged
  bool left = false;                                           // not in memory any more: what comes for it is dropped

  const flow::Flow& flow() const { return *start.flow->flow; }
  [[nodiscard]] bool any(std::initializer_list<NodeState> states) const {
    return std::any_of(nodes.begin(), nodes.end(), [&](const NodeRun& node) {
      return std::find(states.begin(), states.end(), node.state) != states.end();
    });
  }
};

namespace {

constexpr std::chrono::milliseconds kLongestTimer{60'000};  // so that none outlives for long a run that has gone to the store
constexpr std::chrono::hours kLongestRateWait{24};
constexpr std::chrono::milliseconds kShortestRateWait{100};
constexpr std::chrono::seconds kMostSpread{30};
constexpr std::string_view kUnknown = "the host stopped while the provider was being asked: nobody knows whether it was done";

std::string_view provider_of(const flow::Node& node) { return std::string_view(node.operation).substr(0, node.operation.find('.')); }

bool has_not_answered(Errc code) { return code == Errc::unavailable || code == Errc::timeout || code == Errc::cancelled; }

}  // namespace

Runner::Runner(Loop& loop, const Clock& clock, RunStore& store, plugin::Registry& registry, RunnerSettings settings)
    : loop_(loop),
      clock_(clock),
      store_(store),
      registry_(registry),
      settings_(settings),
      launches_(settings.concurrent_reactions),
      completed_(metrics::counter("executions_total", "Runs that ended, by status", {{"status", "completed"}})),
      failed_(metrics::counter("executions_total", "Runs that ended, by status", {{"status", "failed"}})),
      retries_(metrics::counter("patchbay_step_retries_total", "Reaction attempts after the first")),
      in_progress_(metrics::gauge("executions_in_progress", "Runs in memory")) {}

Runner::~Runner() { *alive_ = false; }

// Not by make_shared: timers hold weak pointers, and would hold its memory with them.
Runner::RunPointer Runner::make_run() { return RunPointer(new Run); }

void Runner::start(NewRun run) {
  const auto state = make_run();
  state->start = std::move(run);
  state->started = clock_.now();
  add(state);
}

void Runner::resume(NewRun run, const Before& before) {
  const auto state = make_run();
  state->start = std::move(run);
  state->started = before.started.value_or(clock_.now());
  state->interrupted = before.interrupted;
  state->nodes.resize(state->flow().nodes.size());
  state->outputs.resize(state->nodes.size());
  restore(*state, before);
  add(state);
}

void Runner::restore(Run& run, const Before& before) {
  for (const auto& step : before.steps) {
    const auto& nodes = run.flow().nodes;
    const auto node = std::find_if(nodes.begin(), nodes.end(), [&](const auto& n) { return n.id == step.node; });
    if (node == nodes.end()) continue;
    const auto index = static_cast<std::size_t>(node - nodes.begin());
    auto& known = run.nodes[index];
    known.attempt = step.attempt;
    known.started = step.started;
    known.not_before = step.next;
    known.retries = step.next && step.attempt > 0;
    known.port = step.port;
    if (step.status == "failed") {
      known.state = NodeState::failed;
      if (node->on_error == flow::OnError::stop) run.error = fmt::format("{}: {}", node->id, step.error);
      if (node->on_error == flow::OnError::next) known.state = NodeState::done;
    }
    if (step.status == "completed") known.state = NodeState::done;
    if (step.status == "maybe") known.state = NodeState::parked;
    if (step.status == "running" && !step.next && before.interrupted) {  // marked, and then the host died
      known.state = NodeState::parked;
      known.input = step.input;
      auto parked = row(run, index, "maybe");
      parked.error = kUnknown;
      parked.finished.reset();
      run.unsaved.push_back(std::move(parked));
    }
    if (step.status != "completed" && step.status != "failed") continue;
    if (auto output = JsonDocument::parse(step.output.empty() ? "null" : step.output)) {
      run.documents.push_back(*output);
      run.outputs[index] = (*output)->root();
    }
  }
}

void Runner::add(const RunPointer& run) {
  const auto& flow = run->flow();
  run->nodes.resize(flow.nodes.size());
  run->outputs.resize(flow.nodes.size());
  for (std::size_t i = 0; i < flow.nodes.size(); ++i) {
    if (flow.nodes[i].kind != flow::NodeKind::trigger) continue;
    // Of several triggers one has fired; the others are as if they were not there.
    const bool fired = flow.nodes[i].id == run->start.trigger_node;
    run->nodes[i].state = fired ? NodeState::done : NodeState::skipped;
    if (fired) run->outputs[i] = run->start.data->root();
  }
  runs_.emplace(run->start.id, run);
  ++shares_[run->start.flow->id].runs;
  in_progress_.set(static_cast<double>(runs_.size()));
  advance(run);
}

void Runner::forget(const RunPointer& run) {
  if (std::exchange(run->left, true) || runs_.erase(run->start.id) == 0) return;
  const auto share = shares_.find(run->start.flow->id);
  if (--share->second.runs == 0 && share->second.waiting == 0) shares_.erase(share);
  in_progress_.set(static_cast<double>(runs_.size()));
}

void Runner::cancel(RunId id) {
  const auto found = runs_.find(id);
  const auto flow = found == runs_.end() ? FlowId{} : found->second->start.flow->id;
  if (found != runs_.end()) forget(RunPointer(found->second));
  if (left_) left_(flow, clock_.now());
}

void Runner::abandon() {
  for (auto& [id, run] : runs_) run->left = true;
  runs_.clear();
  shares_.clear();
  *alive_ = false;
  alive_ = std::make_shared<bool>(true);
  launches_ = LaunchQueue<Launch>(settings_.concurrent_reactions);
  breaker_ = {};
  reactions_ = 0;
  in_progress_.set(0);
}

void Runner::put_off(const NewRun& run, std::optional<Timestamp> until, const std::string& reason) {
  log::warn("engine", "run {} {}: {}", run.id.to_string(), until ? "has to wait" : "cannot be carried out", reason);
  RunUpdate update;
  update.run = run.id;
  update.now = clock_.now();
  update.free_at = until;
  if (!until) {
    update.status = RunUpdate::Status{"failed", update.now, update.now, reason};
    update.lane = run.lane;
    update.lane_width = run.lane_width;
    update.dead_letter = DeadLetter{run.user, run.trigger_node, reason};
  }
  const auto state = make_run();
  state->start = run;
  state->saving = 1;
  submit(state, std::move(update));
}

bool Runner::edges_decided(const Run& run, std::size_t index, bool& fired) const {
  fired = false;
  for (const auto& edge : run.flow().nodes[index].after) {
    const auto& from = run.nodes[edge.node];
    switch (from.state) {
      case NodeState::undecided:
      case NodeState::waiting:
      case NodeState::sleeping:
      case NodeState::running:
      case NodeState::parked:
        return false;
      case NodeState::done:
        fired |= edge.port.empty() || edge.port == from.port;
        break;
      case NodeState::failed:
        fired |= edge.port == "error" && from.port == "error";
        break;
      case NodeState::skipped:
        break;
    }
  }
  return true;
}

// Gives node `index` a state if the nodes before it allow it. True: something changed.
bool Runner::decide(Run& run, std::size_t index) {
  auto& node = run.nodes[index];
  if (node.state != NodeState::undecided) return false;
  bool fired = false;
  if (!edges_decided(run, index, fired)) return false;
  if (!fired || !run.error.empty()) {
    node.state = NodeState::skipped;
    return true;
  }
  if (run.flow().nodes[index].kind == flow::NodeKind::condition) {
    evaluate_condition(run, index);
    return true;
  }
  node.state = NodeState::waiting;
  return true;
}

void Runner::evaluate_condition(Run& run, std::size_t index) {
  auto& node = run.nodes[index];
  node.attempt = 1;
  node.started = clock_.now();
  const auto value = run.flow().nodes[index].condition->test({run.flow().names, run.outputs, &run.work});
  if (!value) {
    node.state = NodeState::failed;
    run.error = fmt::format("{}: {}", run.flow().nodes[index].id, value.error().message);
    auto failed = row(run, index, "failed");
    failed.error = value.error().message;
    run.unsaved.push_back(std::move(failed));
    return;
  }
  node.state = NodeState::done;
  node.port = *value ? "true" : "false";
  run.unsaved.push_back(row(run, index, "completed"));
}

// Decides what can be decided (the nodes are in an order that makes one pass enough), starts the reactions that are
// due, and ends the run when nothing is left.
void Runner::advance(const RunPointer& run) {
  if (run->saving > 0 || run->left) return;  // goes on when the results are stored
  for (std::size_t i = 0; i < run->nodes.size(); ++i) {
    decide(*run, i);
    auto& node = run->nodes[i];
    if (node.state != NodeState::waiting) continue;
    node.maybe_begun = node.maybe_begun || run->interrupted;
    launch(run, i);
  }
  run->interrupted = false;
  const bool nothing_runs = !run->any({NodeState::running, NodeState::sleeping}) || rest_until(*run);
  if (run->saving == 0 && nothing_runs) return save(run, {});
  flush_launches();
}

void Runner::launch(const RunPointer& run, std::size_t index) {
  auto& node = run->nodes[index];
  if (node.not_before && *node.not_before > clock_.now()) {
    node.maybe_begun = false;  // it was waiting when the host died
    return sleep(run, index, *node.not_before);
  }
  node.not_before.reset();
  if (run->flow().nodes[index].on_unknown == flow::OnUnknown::park && !node.marked) return mark_begun(run, index);
  enqueue(run, index);
}

void Runner::enqueue(const RunPointer& run, std::size_t index) {
  run->nodes[index].state = NodeState::running;
  launches_.push(provider_of(run->flow().nodes[index]), run->start.flow->id, {run, index});
  ++shares_[run->start.flow->id].waiting;
}

// What may not be repeated blindly is said to begin before it does: after a crash a person decides about it.
void Runner::mark_begun(const RunPointer& run, std::size_t index) {
  auto& node = run->nodes[index];
  node.marked = true;
  node.state = NodeState::waiting;  // goes on when that is stored
  if (node.attempt == 0) node.started = clock_.now();
  auto begun = row(*run, index, "running");
  begun.attempt = node.attempt + 1;
  begun.finished.reset();
  run->unsaved.push_back(std::move(begun));
  save(run, {});
}

// The run may rest in the store in the meantime: then nothing is left of it here but the timer.
void Runner::sleep(const RunPointer& run, std::size_t index, Timestamp until) {
  auto& node = run->nodes[index];
  node.state = NodeState::sleeping;
  node.not_before = until;
  const auto pause = std::chrono::ceil<std::chrono::milliseconds>(until - clock_.now());
  const bool whole = pause <= kLongestTimer;  // then the timer counts, however the clock is set meanwhile
  loop_.after(std::clamp(pause, std::chrono::milliseconds{0}, kLongestTimer), [this, alive = alive_, weak = std::weak_ptr(run), index, whole] {
    const auto run = weak.lock();
    if (!*alive || !run || run->left || run->nodes[index].state != NodeState::sleeping) return;
    if (whole) run->nodes[index].not_before.reset();
    run->nodes[index].state = NodeState::waiting;  // launch() lets it sleep on, if it is not due yet
    advance(run);
  });
}

// When nothing of the run is under way and its next node is due later than is worth keeping it: when that is.
std::optional<Timestamp> Runner::rest_until(const Run& run) const {
  if (draining_ || run.any({NodeState::running, NodeState::waiting})) return std::nullopt;
  std::optional<Timestamp> first;
  for (const auto& node : run.nodes) {
    if (node.state == NodeState::sleeping && (!first || *node.not_before < *first)) first = node.not_before;
  }
  if (!first || *first - clock_.now() <= settings_.longest_pause) return std::nullopt;
  return first;
}

void Runner::flush_launches() {
  if (flushing_) return;  // a reaction that ends at once comes back here
  flushing_ = true;
  while (!draining_ && may_begin_()) {
    auto launch = launches_.pop();
    if (!launch) break;
    ++reactions_;
    const auto share = shares_.find(launch->run->start.flow->id);
    if (--share->second.waiting == 0 && share->second.runs == 0) shares_.erase(share);
    if (launch->run->left) reaction_over(*launch);
    else begin_reaction(launch->run, launch->index);
  }
  flushing_ = false;
}

void Runner::reaction_over(const Launch& launch) {
  --reactions_;
  launches_.done(provider_of(launch.run->flow().nodes[launch.index]), launch.run->start.flow->id);
}

void Runner::begin_reaction(const RunPointer& run, std::size_t index) {
  const auto& definition = run->flow().nodes[index];
  auto& node = run->nodes[index];
  const auto connection = run->start.flow->connections[index];
  const Breaker::Key key{std::string(provider_of(definition)), connection};
  if (node.attempt == 0) node.started = clock_.now();
  // After a crash nobody knows whether the first attempt was made, so it counts as made: plugins look before they
  // repeat what they cannot make harmless.
  if (std::exchange(node.maybe_begun, false)) node.attempt = std::max(node.attempt, 1);
  if (const auto until = breaker_.wait_until(key, node.retries, clock_.now())) {
    reaction_over({run, index});
    return postpone(run, index, *until + spread(*until - clock_.now()) * 10, definition.operation + " waits: " + key.first + " has not answered lately");
  }
  ++node.attempt;
  node.marked = false;

  node.input.clear();
  const auto rendered = definition.params.render({run->flow().names, run->outputs}, node.input);
  auto* provider = registry_.provider(key.first);
  if (!rendered || provider == nullptr) {
    reaction_over({run, index});
    breaker_.failed(key, false, clock_.now());
    if (!rendered) return fail_step_for_good(run, index, rendered.error());
    return step_failed(run, index, {Errc::unavailable, "the plugin for " + definition.operation + " is not loaded"}, std::nullopt);
  }

  plugin::Call call;
  call.verb = plugin::Verb::reaction;
  call.name = definition.operation.substr(key.first.size() + 1);
  call.params = node.input;
  call.key = run->start.id.to_string() + ":" + definition.id;
  call.attempt = node.attempt;
  call.connection = connection;
  call.deadline = clock_.now() + definition.timeout;
  provider->begin(std::move(call), [this, alive = alive_, run, index, key](plugin::Outcome outcome) {
    if (!*alive) return;
    reaction_over({run, index});
    if (outcome.error) breaker_.failed(key, has_not_answered(outcome.error->code), clock_.now());
    else breaker_.succeeded(key);
    reaction_ended(run, index, std::move(outcome));
    flush_launches();
  });
}

void Runner::reaction_ended(const RunPointer& run, std::size_t index, plugin::Outcome outcome) {
  if (run->left) return;
  // Cancelled by a shutdown: nothing is known about it, so nothing is stored, and the restart repeats it.
  if (draining_ && outcome.error && outcome.error->code == Errc::cancelled) return;
  const bool parks = run->flow().nodes[index].on_unknown == flow::OnUnknown::park;
  if (outcome.error && parks && has_not_answered(outcome.error->code)) return park(run, index, *outcome.error);
  if (outcome.error) return step_failed(run, index, *outcome.error, outcome.next);
  step_succeeded(run, index, std::move(outcome.output));
}

StepRow Runner::row(const Run& run, std::size_t index, std::string status) const {
  const auto& node = run.nodes[index];
  return {.node = run.flow().nodes[index].id,
          .status = std::move(status),
          .port = node.port,
          .attempt = node.attempt,
          .input = node.input,
          .output = {},
          .error = {},
          .started = node.started,
          .finished = clock_.now(),
          .next = std::nullopt};
}

void Runner::step_succeeded(const RunPointer& run, std::size_t index, std::string output) {
  auto& node = run->nodes[index];
  node.state = NodeState::done;
  if (output.empty()) output = "{}";
  auto done = row(*run, index, "completed");
  // Only a later node can look at it; for the last one the text is enough.
  if (index + 1 < run->nodes.size()) {
    if (auto document = JsonDocument::parse(output)) {
      run->outputs[index] = (*document)->root();
      run->documents.push_back(*std::move(document));
    }
  }
  done.output = std::move(output);
  node.input = {};
  run->unsaved.push_back(std::move(done));
  save(run, {});
}

std::chrono::milliseconds Runner::back_off(const flow::Retry& retry, int attempt) {
  const int doublings = std::min(attempt - 1, 20);
  const auto limit = std::min<std::int64_t>(retry.first.count() << doublings, retry.longest.count());
  // Half fixed, half random: spread out, and never at once.
  return std::chrono::milliseconds{limit / 2 + std::uniform_int_distribution<std::int64_t>(0, limit / 2)(random_)};
}

// Those that wait for the same moment do not come back in the same one.
Duration Runner::spread(Duration wait) {
  const auto most = std::clamp<std::int64_t>(wait.count() / 10, 0, Duration{kMostSpread}.count());
  return Duration{std::uniform_int_distribution<std::int64_t>(0, most)(random_)};
}

void Runner::step_failed(const RunPointer& run, std::size_t index, const Error& error, std::optional<Duration> wait) {
  const auto& definition = run->flow().nodes[index];
  auto& node = run->nodes[index];
  // Told to wait: it was not done, and waiting is no failure, as long as it comes to an end.
  if (error.code == Errc::exhausted && wait && clock_.now() - node.started < kLongestRateWait) {
    const auto until = clock_.now() + std::max<Duration>(*wait, kShortestRateWait);
    --node.attempt;
    return postpone(run, index, until + spread(*wait), error.message);
  }
  if (!may_pass(error.code) || node.attempt >= definition.retry.attempts) {
    return fail_step_for_good(run, index, error);
  }
  retries_.increment();
  node.retries = true;
  const auto pause =
      wait ? std::chrono::duration_cast<std::chrono::milliseconds>(*wait) : back_off(definition.retry, node.attempt);
  log::info("engine", "run {} step {} attempt {} failed, again in {} ms: {}", run->start.id.to_string(), definition.id,
            node.attempt, pause.count(), error.message);
  postpone(run, index, clock_.now() + pause, error.message);
}

// It may have been done: a person decides.
void Runner::park(const RunPointer& run, std::size_t index, const Error& error) {
  auto& node = run->nodes[index];
  node.state = NodeState::parked;
  auto parked = row(*run, index, "maybe");
  parked.error = "nobody knows whether it was done: " + error.message;
  parked.finished.reset();
  log::warn("engine", "run {} step {} waits for a person: {}", run->start.id.to_string(), run->flow().nodes[index].id, parked.error);
  run->unsaved.push_back(std::move(parked));
  save(run, {});
}

// Its next attempt comes then, and the store knows. Nothing is under way at the provider.
void Runner::postpone(const RunPointer& run, std::size_t index, Timestamp until, const std::string& reason) {
  auto waiting = row(*run, index, "running");
  waiting.error = reason;
  waiting.finished.reset();
  waiting.next = until;
  run->unsaved.push_back(std::move(waiting));
  run->nodes[index].marked = false;
  sleep(run, index, until);
  save(run, {});
}

void Runner::fail_step_for_good(const RunPointer& run, std::size_t index, const Error& error) {
  const auto& definition = run->flow().nodes[index];
  auto& node = run->nodes[index];
  const bool stops = definition.on_error == flow::OnError::stop;
  node.state = definition.on_error == flow::OnError::next ? NodeState::done : NodeState::failed;
  if (definition.on_error == flow::OnError::port) node.port = "error";

  std::string output = fmt::format(R"({{"error":{{"code":{},"message":{}}}}})", json_quote(name_of(error.code)),
                                   json_quote(error.message));
  if (auto document = JsonDocument::parse(output)) {
    run->outputs[index] = (*document)->root();
    run->documents.push_back(*std::move(document));
  }
  auto failed = row(*run, index, "failed");
  failed.error = error.message;
  failed.output = std::move(output);
  run->unsaved.push_back(std::move(failed));
  RunUpdate update;
  if (stops) {
    run->error = fmt::format("{}: {}", definition.id, error.message);
    update.dead_letter = DeadLetter{run->start.user, definition.id, error.message};
    log::warn("engine", "run {} step {} failed for good: {}", run->start.id.to_string(), definition.id, error.message);
  }
  save(run, std::move(update));
}

// Writes what was decided. When nothing is open any more the run's end goes into the same transaction; when all that is
// left sleeps, the run is given back with it; otherwise the run goes on after the commit.
void Runner::save(const RunPointer& run, RunUpdate update) {
  // Decide as far as possible first: then the last reaction's result and the run's end are one write.
  for (std::size_t i = 0; i < run->nodes.size(); ++i) decide(*run, i);
  update.run = run->start.id;
  update.now = clock_.now();
  std::move(run->unsaved.begin(), run->unsaved.end(), std::back_inserter(update.steps));
  run->unsaved.clear();
  RunUpdate::Status status{"running", run->started, std::nullopt, ""};
  if (!run->any({NodeState::waiting, NodeState::sleeping, NodeState::running})) {
    if (run->any({NodeState::parked})) {
      status.status = "paused";
      status.error = kUnknown;
      const auto parked = std::find_if(run->nodes.begin(), run->nodes.end(), [](const auto& node) { return node.state == NodeState::parked; });
      update.dead_letter = DeadLetter{run->start.user, run->flow().nodes[static_cast<std::size_t>(parked - run->nodes.begin())].id, std::string(kUnknown)};
    } else {
      status = {run->error.empty() ? "completed" : "failed", run->started, update.now, run->error};
      update.lane = run->start.lane;
      update.lane_width = run->start.lane_width;
    }
  }
  update.status = std::move(status);
  if (run->saving == 0) update.free_at = rest_until(*run);  // what is on its way must not come after others have the run
  ++run->saving;
  submit(run, std::move(update));
}

// Until the store takes it: a result is kept, never dropped, for the provider has done its part.
void Runner::submit(const RunPointer& run, RunUpdate update) {
  const auto again = [this, alive = alive_, run](RunUpdate kept, const Error& error) {
    if (!std::exchange(run->unstored, true)) {  // once: a disk stays full for long
      log::error("engine", "run {} could not be stored, again in {} ms: {}", run->start.id.to_string(),
                 settings_.save_retry.count(), error.message);
    }
    loop_.after(settings_.save_retry, [this, alive, run, kept = std::move(kept)]() mutable {
      if (*alive) submit(run, std::move(kept));
    });
  };
  const auto queued = store_.save(update, [this, alive = alive_, run, again](Result<> done, RunUpdate kept) {
    if (!*alive) return;
    if (!done) return again(std::move(kept), done.error());
    saved(run, kept);
  });
  if (!queued) again(std::move(update), queued.error());
}

void Runner::saved(const RunPointer& run, const RunUpdate& update) {
  --run->saving;
  const bool ended = update.over || (update.status && update.status->status != "running");
  if (!ended && !update.free_at) return advance(run);
  if (update.status && update.status->status == "completed") completed_.increment();
  if (update.status && update.status->status == "failed") failed_.increment();
  forget(run);
  if (!left_) return;
  const auto flow = run->start.flow ? run->start.flow->id : FlowId{};
  if (update.free_at) left_(flow, update.free_at);
  else left_(flow, update.lane.empty() ? std::nullopt : std::optional(update.now));
}

}  // namespace patchbay::engine
