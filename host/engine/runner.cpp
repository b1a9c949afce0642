// How runs go: which nodes are decided, which reactions begin.
#include "engine/runner.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/log.hpp"
#include "engine/runner_state.hpp"

namespace patchbay::engine {
namespace {

constexpr std::chrono::milliseconds kLongestTimer{60'000};  // so that none outlives for long a run that has gone to the store

std::string_view provider_of(const flow::Node& node) { return std::string_view(node.operation).substr(0, node.operation.find('.')); }

bool has_not_answered(Errc code) { return code == Errc::unavailable || code == Errc::timeout || code == Errc::cancelled; }

}  // namespace

Runner::Runner(Loop& loop, const Clock& clock, RunStore& store, plugin::Registry& registry, const vault::Connections& connections, RunnerSettings settings)
    : loop_(loop),
      clock_(clock),
      store_(store),
      registry_(registry),
      connections_(connections),
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

void Runner::connection_ready(ConnectionId connection) {
  std::vector<RunPointer> held;
  for (const auto& [id, run] : runs_) {
    bool waits = false;
    for (auto& node : run->nodes) {
      if (node.state != NodeState::sleeping || node.waits_for != connection) continue;
      node.waits_for = {};
      node.not_before.reset();
      node.state = NodeState::waiting;
      waits = true;
    }
    if (waits) held.push_back(run);
  }
  for (const auto& run : held) advance(run);
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
  if (run->saving == 0 && nothing_runs) return save(run);
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
  save(run);
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
  if (hold(run, index, node.attempt)) return reaction_over({run, index});
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
  if (outcome.error && !may_pass(outcome.error->code) && hold(run, index, run->nodes[index].attempt - 1)) return;
  if (outcome.error) return step_failed(run, index, *outcome.error, outcome.next);
  step_succeeded(run, index, std::move(outcome.output));
}

}  // namespace patchbay::engine
