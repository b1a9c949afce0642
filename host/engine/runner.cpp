#include "engine/runner.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/log.hpp"

namespace patchbay::engine {

struct Runner::Run {
  NewRun start;
  Timestamp started;
  bool resumed = false;  // until its first nodes have been launched again
  std::vector<NodeRun> nodes;
  std::vector<JsonView> outputs;
  std::vector<std::shared_ptr<const JsonDocument>> documents;  // that the outputs point into
  std::vector<StepRow> unsaved;                                // decided since the last save, no reaction among them
  std::string error;                                           // the first failure that ends the run
  std::size_t work = flow::kWork;                              // what is left for its conditions, all together
  int saving = 0;                                              // results on their way to the store

  const flow::Flow& flow() const { return *start.flow->flow; }
};

Runner::Runner(Loop& loop, const Clock& clock, RunStore& store, plugin::Registry& registry, RunnerSettings settings)
    : loop_(loop),
      clock_(clock),
      store_(store),
      registry_(registry),
      settings_(settings),
      completed_(metrics::counter("executions_total", "Runs that ended, by status", {{"status", "completed"}})),
      failed_(metrics::counter("executions_total", "Runs that ended, by status", {{"status", "failed"}})),
      retries_(metrics::counter("patchbay_step_retries_total", "Reaction attempts after the first")),
      in_progress_(metrics::gauge("executions_in_progress", "Runs in memory")) {}

Runner::~Runner() { *alive_ = false; }

void Runner::start(NewRun run) {
  auto state = std::make_shared<Run>();
  state->start = std::move(run);
  state->started = clock_.now();
  add(state);
}

void Runner::resume(NewRun run, const std::vector<StepRow>& steps, std::optional<Timestamp> started) {
  auto state = std::make_shared<Run>();
  state->start = std::move(run);
  state->started = started.value_or(clock_.now());
  state->resumed = true;
  state->nodes.resize(state->flow().nodes.size());
  state->outputs.resize(state->nodes.size());
  for (const auto& step : steps) {
    const auto& nodes = state->flow().nodes;
    const auto node = std::find_if(nodes.begin(), nodes.end(), [&](const auto& n) { return n.id == step.node; });
    if (node == nodes.end()) continue;
    const auto index = static_cast<std::size_t>(node - nodes.begin());
    auto& known = state->nodes[index];
    known.attempt = step.attempt;
    known.started = step.started;
    known.not_before = step.next;
    if (step.status == "failed") {
      known.state = NodeState::failed;
      known.port = step.port;
      if (node->on_error == flow::OnError::stop) state->error = step.error;
      if (node->on_error == flow::OnError::next) known.state = NodeState::done;
    }
    if (step.status == "completed") {
      known.state = NodeState::done;
      known.port = step.port;
      if (auto output = JsonDocument::parse(step.output.empty() ? "null" : step.output)) {
        state->documents.push_back(*output);
        state->outputs[index] = (*output)->root();
      }
    }
  }
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
  in_progress_.set(static_cast<double>(runs_.size()));
  advance(run);
}

bool Runner::edges_decided(const Run& run, std::size_t index, bool& fired) const {
  fired = false;
  for (const auto& edge : run.flow().nodes[index].after) {
    const auto& from = run.nodes[edge.node];
    switch (from.state) {
      case NodeState::undecided:
      case NodeState::waiting:
      case NodeState::running:
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
  if (run->saving > 0) return;  // goes on when the results are stored
  bool open = false;
  for (std::size_t i = 0; i < run->nodes.size(); ++i) {
    decide(*run, i);
    auto& node = run->nodes[i];
    if (node.state == NodeState::waiting) {
      node.maybe_begun = run->resumed;
      launch(run, i);
    }
    open |= node.state == NodeState::running || node.state == NodeState::undecided;
  }
  run->resumed = false;
  if (!open) return save(run, {});
  flush_launches();
}

void Runner::launch(const RunPointer& run, std::size_t index) {
  auto& node = run->nodes[index];
  node.state = NodeState::running;
  if (const auto due = std::exchange(node.not_before, std::nullopt); due && *due > clock_.now()) {
    return launch_after(std::chrono::duration_cast<std::chrono::milliseconds>(*due - clock_.now()), run, index);
  }
  launches_.emplace_back(run, index);
}

void Runner::launch_after(std::chrono::milliseconds pause, const RunPointer& run, std::size_t index) {
  loop_.after(pause, [this, alive = alive_, run, index] {
    if (!*alive) return;
    launch(run, index);
    flush_launches();
  });
}

void Runner::flush_launches() {
  if (flushing_) return;  // a reaction that ends at once comes back here
  flushing_ = true;
  while (!launches_.empty() && reactions_ < settings_.concurrent_reactions && !draining_) {
    auto [run, index] = std::move(launches_.front());
    launches_.pop_front();
    begin_reaction(run, index);
  }
  flushing_ = false;
}

void Runner::begin_reaction(const RunPointer& run, std::size_t index) {
  const auto& definition = run->flow().nodes[index];
  auto& node = run->nodes[index];
  if (node.attempt == 0) node.started = clock_.now();
  // After a restart nobody knows whether the first attempt was made, so it counts as made: plugins look before they
  // repeat what they cannot make harmless.
  node.attempt = std::max(node.attempt + 1, node.maybe_begun ? 2 : 1);

  node.input.clear();
  const auto rendered = definition.params.render({run->flow().names, run->outputs}, node.input);
  if (!rendered) return fail_step_for_good(run, index, rendered.error());

  const auto dot = definition.operation.find('.');
  auto* provider = registry_.provider(std::string_view(definition.operation).substr(0, dot));
  if (provider == nullptr) {
    const Error missing{Errc::unavailable, "the plugin for " + definition.operation + " is not loaded"};
    return step_failed(run, index, missing, std::nullopt);
  }

  plugin::Call call;
  call.verb = plugin::Verb::reaction;
  call.name = definition.operation.substr(dot + 1);
  call.params = node.input;
  call.key = run->start.id.to_string() + ":" + definition.id;
  call.attempt = node.attempt;
  call.connection = run->start.flow->connections[index];
  call.deadline = clock_.now() + definition.timeout;
  ++reactions_;
  provider->begin(std::move(call), [this, alive = alive_, run, index](plugin::Outcome outcome) {
    if (!*alive) return;
    --reactions_;
    reaction_ended(run, index, std::move(outcome));
    flush_launches();
  });
}

void Runner::reaction_ended(const RunPointer& run, std::size_t index, plugin::Outcome outcome) {
  // Cancelled by a shutdown: nothing is known about it, so nothing is stored, and the restart repeats it.
  if (draining_ && outcome.error && outcome.error->code == Errc::cancelled) return;
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

void Runner::step_failed(const RunPointer& run, std::size_t index, const Error& error, std::optional<Duration> wait) {
  const auto& definition = run->flow().nodes[index];
  auto& node = run->nodes[index];
  if (!may_pass(error.code) || node.attempt >= definition.retry.attempts) {
    return fail_step_for_good(run, index, error);
  }
  retries_.increment();
  const auto pause =
      wait ? std::chrono::duration_cast<std::chrono::milliseconds>(*wait) : back_off(definition.retry, node.attempt);
  log::info("engine", "run {} step {} attempt {} failed, again in {} ms: {}", run->start.id.to_string(), definition.id,
            node.attempt, pause.count(), error.message);
  auto waiting = row(*run, index, "running");
  waiting.error = error.message;
  waiting.finished.reset();
  waiting.next = clock_.now() + pause;
  run->unsaved.push_back(std::move(waiting));
  save(run, {});
  launch_after(pause, run, index);
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

// Writes what was decided. When nothing is open any more the run's end goes into the same transaction; otherwise the
// run goes on after the commit.
void Runner::save(const RunPointer& run, RunUpdate update) {
  // Decide as far as possible first: then the last reaction's result and the run's end are one write.
  for (std::size_t i = 0; i < run->nodes.size(); ++i) decide(*run, i);
  const bool ended = std::none_of(run->nodes.begin(), run->nodes.end(), [](const NodeRun& node) {
    return node.state == NodeState::undecided || node.state == NodeState::waiting || node.state == NodeState::running;
  });
  update.run = run->start.id;
  update.now = clock_.now();
  std::move(run->unsaved.begin(), run->unsaved.end(), std::back_inserter(update.steps));
  run->unsaved.clear();
  if (ended) {
    update.status =
        RunUpdate::Status{run->error.empty() ? "completed" : "failed", run->started, update.now, run->error};
  } else {
    update.status = RunUpdate::Status{"running", run->started, std::nullopt, ""};
  }
  ++run->saving;
  submit(run, std::move(update), ended);
}

// Until the store takes it: a result is kept, never dropped, for the provider has done its part.
void Runner::submit(const RunPointer& run, RunUpdate update, bool ended) {
  const auto again = [this, alive = alive_, run, ended](RunUpdate kept, const Error& error) {
    log::error("engine", "run {} could not be stored, again in {} ms: {}", run->start.id.to_string(),
               settings_.save_retry.count(), error.message);
    loop_.after(settings_.save_retry, [this, alive, run, ended, kept = std::move(kept)]() mutable {
      if (*alive) submit(run, std::move(kept), ended);
    });
  };
  const auto queued = store_.save(update, [this, alive = alive_, run, ended, again](Result<> done, RunUpdate kept) {
    if (!*alive) return;
    if (!done) return again(std::move(kept), done.error());
    saved(run, ended);
  });
  if (!queued) again(std::move(update), queued.error());
}

void Runner::saved(const RunPointer& run, bool ended) {
  --run->saving;
  if (!ended) return advance(run);
  (run->error.empty() ? completed_ : failed_).increment();
  runs_.erase(run->start.id);
  in_progress_.set(static_cast<double>(runs_.size()));
  if (ended_) ended_(run->start.id);
}

}  // namespace patchbay::engine
