// What became of steps, and how it is kept: results, failures, waits, and what was stored before.
#include <algorithm>

#include <fmt/format.h>

#include "core/log.hpp"
#include "engine/runner_state.hpp"

namespace patchbay::engine {
namespace {

constexpr std::chrono::hours kLongestRateWait{24};
constexpr std::chrono::milliseconds kShortestRateWait{100};
constexpr std::chrono::seconds kMostSpread{30};
constexpr std::chrono::hours kLookAgain{24};  // at a connection that nobody has mended

}  // namespace

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
      run.letters.push_back({run.start.user, step.node, std::string(kUnknown)});
    }
    if (step.status != "completed" && step.status != "failed") continue;
    if (auto output = JsonDocument::parse(step.output.empty() ? "null" : step.output)) {
      run.documents.push_back(*output);
      run.outputs[index] = (*output)->root();
    }
  }
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
    update.dead_letters.push_back({run.user, run.trigger_node, reason});
  }
  const auto state = make_run();
  state->start = run;
  state->saving = 1;
  submit(state, std::move(update));
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

ConnectionId Runner::awaited(const Run& run) const {
  const auto held = std::ranges::find_if(run.nodes, [](const NodeRun& node) { return !node.waits_for.is_nil(); });
  return held == run.nodes.end() ? ConnectionId{} : held->waits_for;
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
  save(run);
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
  run->letters.push_back({run->start.user, parked.node, parked.error});
  run->unsaved.push_back(std::move(parked));
  save(run);
}

// When the step's account is not well, it waits until that is mended, however long that takes; to wait is no attempt.
bool Runner::hold(const RunPointer& run, std::size_t index, int attempts) {
  const auto connection = run->start.flow->connections[index];
  if (connection.is_nil()) return false;
  const auto& operation = run->flow().nodes[index].operation;
  const auto dot = operation.find('.');
  const auto manifest = registry_.manifest(operation.substr(0, dot));
  const auto* reaction = manifest ? manifest->reaction(operation.substr(dot + 1)) : nullptr;
  const auto trouble = connections_.trouble(connection, reaction == nullptr || reaction->degrades ? vault::Scopes{} : reaction->scopes);
  if (!trouble) return false;
  if (!trouble->missing.empty()) lacks_(connection, trouble->missing);
  auto& node = run->nodes[index];
  node.attempt = attempts;
  node.waits_for = connection;
  postpone(run, index, clock_.now() + kLookAgain, trouble->why);
  return true;
}

// Its next attempt comes then, and the store knows. Nothing is under way at the provider.
void Runner::postpone(const RunPointer& run, std::size_t index, Timestamp until, const std::string& reason) {
  auto waiting = row(*run, index, run->nodes[index].waits_for.is_nil() ? "running" : "pending");
  waiting.error = reason;
  waiting.finished.reset();
  waiting.next = until;
  run->unsaved.push_back(std::move(waiting));
  run->nodes[index].marked = false;
  sleep(run, index, until);
  save(run);
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
  if (stops) {
    run->error = fmt::format("{}: {}", definition.id, error.message);
    run->letters.push_back({run->start.user, definition.id, error.message});
    log::warn("engine", "run {} step {} failed for good: {}", run->start.id.to_string(), definition.id, error.message);
  }
  save(run);
}

// Writes what was decided. When nothing is open any more the run's end goes into the same transaction; when all that is
// left sleeps, the run is given back with it; otherwise the run goes on after the commit.
void Runner::save(const RunPointer& run) {
  // Decide as far as possible first: then the last reaction's result and the run's end are one write.
  for (std::size_t i = 0; i < run->nodes.size(); ++i) decide(*run, i);
  RunUpdate update;
  update.run = run->start.id;
  update.now = clock_.now();
  update.steps = std::exchange(run->unsaved, {});
  update.dead_letters = std::exchange(run->letters, {});
  RunUpdate::Status status{"running", run->started, std::nullopt, ""};
  if (!run->any({NodeState::waiting, NodeState::sleeping, NodeState::running})) {
    if (run->any({NodeState::parked})) status = {"paused", run->started, std::nullopt, "a step waits for a person"};
    else status = {run->error.empty() ? "completed" : "failed", run->started, update.now, run->error};
    update.lane = run->start.lane;
    update.lane_width = run->start.lane_width;
  }
  update.status = std::move(status);
  if (run->saving == 0) update.free_at = rest_until(*run);  // what is on its way must not come after others have the run
  if (update.free_at) update.waits_for = awaited(*run);
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
  if (update.free_at && !update.waits_for.is_nil()) rests_(update.waits_for);
  if (!left_) return;
  const auto flow = run->start.flow ? run->start.flow->id : FlowId{};
  if (update.free_at) left_(flow, update.free_at);
  else left_(flow, update.lane.empty() ? std::nullopt : std::optional(update.now));
}

}  // namespace patchbay::engine
