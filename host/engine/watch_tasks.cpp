#include "engine/watch_tasks.hpp"

#include <algorithm>

#include "core/log.hpp"

namespace patchbay::engine {
namespace {

constexpr std::chrono::seconds kDeadline{30};
constexpr Duration kDefaultEvery = std::chrono::seconds{60};
constexpr Duration kLongestWait = std::chrono::hours{1};

Duration failure_wait(int failures) {
  return std::min<Duration>(std::chrono::seconds{5} * (1 << std::min(failures, 12)), kLongestWait);
}

}  // namespace

WatchTasks::WatchTasks(Loop& loop, Executor& background, const Clock& clock, const vault::Vault& vault,
                       const vault::Connections& connections, FlowStore& store, WatchTable& watches, WatchSource& source, Hooks& hooks, Intake& intake)
    : loop_(loop),
      background_(background),
      clock_(clock),
      vault_(vault),
      connections_(connections),
      store_(store),
      watches_(watches),
      source_(source),
      hooks_(hooks),
      intake_(intake),
      scheduler_(loop, clock, [this](WatchId id) { due(id); }) {}

WatchTasks::~WatchTasks() { *alive_ = false; }

Result<plugin::Call> WatchTasks::make_call(const Watch& watch, plugin::Verb verb) {
  auto secret = watch.secret(vault_);
  if (!secret) return std::unexpected(secret.error());
  plugin::Call call;
  call.verb = verb;
  call.name = watch.record.trigger;
  call.params = watch.record.params;
  call.key = watch.record.id.to_string();
  call.state = watch.record.state;
  call.state_version = watch.record.state_version;
  call.attempt = watch.failures + 1;
  call.watch = watch.record.id;
  call.connection = watch.record.connection;
  call.callback_url = hooks_.callback_url(watch);
  call.callback_secret = *std::move(secret);
  call.deadline = clock_.now() + kDeadline;
  return call;
}

void WatchTasks::begin(const std::shared_ptr<Watch>& watch, Done done) { run(watch, std::move(done)); }

void WatchTasks::schedule(const std::shared_ptr<Watch>& watch) {
  if (watch->record.next) {
    scheduler_.set(watch->record.id, *watch->record.next);
  } else if (watch->trigger != nullptr && watch->trigger->mode == plugin::TriggerMode::poll) {
    scheduler_.set(watch->record.id, clock_.now());
  }
}

void WatchTasks::connection_ready(ConnectionId connection) {
  for (const auto& watch : watches_.of_connection(connection)) {
    if (watch->failures > 0 && watch->record.status == "active") scheduler_.set(watch->record.id, clock_.now());
  }
}

void WatchTasks::due(WatchId id) {
  const auto watch = watches_.find(id);
  if (!watch || watch->provider == nullptr) return;
  run(watch, [](Result<>) {});
}

void WatchTasks::run(const std::shared_ptr<Watch>& watch, Done done) {
  if (watch->provider == nullptr) {
    return done(fail(Errc::unavailable, "the plugin for " + watch->record.provider + " is not loaded"));
  }
  const bool polls = watch->trigger->mode == plugin::TriggerMode::poll;
  if (const auto trouble = connections_.trouble(watch->record.connection, {})) {
    ++watch->failures;  // connection_ready() comes sooner
    if (polls || !watch->record.state.empty()) scheduler_.set(watch->record.id, clock_.now() + kLongestWait);
    return done(fail(Errc::unauthenticated, trouble->why));
  }
  auto call = make_call(*watch, polls ? plugin::Verb::poll : plugin::Verb::watch);
  if (!call && may_pass(call.error().code)) {
    source_.open_secret(watch);
    scheduler_.set(watch->record.id, clock_.now() + failure_wait(++watch->failures));
  }
  if (!call) return done(std::unexpected(call.error()));
  const auto begin = [this, alive = alive_, watch](plugin::Call prepared, Done then) {
    watch->provider->begin(std::move(prepared),
                           [this, alive, watch, then = std::move(then)](plugin::Outcome outcome) mutable {
                             if (*alive) ended(watch, std::move(outcome), std::move(then));
                           });
  };
  // Providers call back before they answer (GitHub's ping, challenges), so webhooks may run while watch() waits.
  if (!polls) return begin(*std::move(call), std::move(done));
  auto task = [this, alive = alive_, watch, begin, done = std::move(done)]() mutable {
    if (!*alive) return;
    auto fresh = make_call(*watch, plugin::Verb::poll);  // with the state that the task before it has left
    if (!fresh) {
      watch->leave();
      return done(std::unexpected(fresh.error()));
    }
    begin(*std::move(fresh), std::move(done));
  };
  if (auto entered = watch->enter(Watch::Turn::alone, std::move(task)); !entered)
    scheduler_.set(watch->record.id, clock_.now() + kDefaultEvery);
}

void WatchTasks::ended(const std::shared_ptr<Watch>& watch, plugin::Outcome outcome, Done done) {
  const bool polls = watch->trigger->mode == plugin::TriggerMode::poll;
  const bool live = watches_.find(watch->record.id) == watch;
  if (outcome.error) {
    ++watch->failures;
    if (polls) watch->leave();
    if (live && watch->record.status == "active") {
      const auto wait = outcome.next ? *outcome.next : failure_wait(watch->failures);
      log::warn("engine", "watch {} ({}.{}) failed, again in {} s: {}", watch->record.id.to_string(),
                watch->record.provider, watch->record.trigger,
                std::chrono::duration_cast<std::chrono::seconds>(wait).count(), outcome.error->message);
      if (polls || !watch->record.state.empty()) scheduler_.set(watch->record.id, clock_.now() + wait);
    }
    return done(std::unexpected(*outcome.error));
  }
  watch->failures = 0;
  std::optional<Timestamp> next;
  if (outcome.next) next = clock_.now() + *outcome.next;
  if (!next && polls) next = clock_.now() + watch->trigger->every.value_or(kDefaultEvery);

  Intake::Batch batch;
  batch.watch = watch;
  // A subscription that was made at the provider is kept, whatever a webhook has changed meanwhile.
  if (polls) batch.revision = watch->record.revision;
  batch.events = std::move(outcome.events);
  batch.state = std::move(outcome.state);
  batch.state_version = outcome.state_version;
  batch.next_at = next;
  auto committed = [this, alive = alive_, watch, polls, next, done = std::move(done)](Result<> result) mutable {
    if (!*alive) return;
    if (polls) watch->leave();
    watch->record.next = next;
    if (result && next) scheduler_.set(watch->record.id, *next);
    // Nothing of the task was kept, so it is done again.
    if (!result && polls) poll_again(watch, result.error().code);
    done(std::move(result));
  };
  intake_.commit(std::move(batch), std::move(committed));
}

void WatchTasks::poll_again(const std::shared_ptr<Watch>& watch, Errc code) {
  const auto soon = clock_.now() + failure_wait(++watch->failures);
  if (code != Errc::not_found && code != Errc::conflict) return scheduler_.set(watch->record.id, soon);
  // Another host has stopped or changed it.
  source_.refresh(watch, [this, alive = alive_, watch, soon](Result<> done) {
    if (*alive && (done || done.error().code != Errc::not_found)) scheduler_.set(watch->record.id, soon);
  });
}

void WatchTasks::end(const std::shared_ptr<Watch>& watch, Done done) {
  scheduler_.erase(watch->record.id);
  const bool told = watch->trigger != nullptr && watch->trigger->mode == plugin::TriggerMode::poll;
  if (told) return stop_ended(watch, {}, std::move(done));  // a poll has nothing to end
  if (watch->provider == nullptr) {
    return done(fail(Errc::unavailable, "the plugin for " + watch->record.provider + " is not loaded"));
  }
  auto call = make_call(*watch, plugin::Verb::stop);
  if (!call && may_pass(call.error().code)) {
    source_.open_secret(watch);
    plugin::Outcome outcome;
    outcome.error = call.error();
    return stop_ended(watch, outcome, std::move(done));
  }
  if (!call) return done(std::unexpected(call.error()));
  watch->provider->begin(*std::move(call),
                         [this, alive = alive_, watch, done = std::move(done)](plugin::Outcome outcome) mutable {
                           if (*alive) stop_ended(watch, outcome, std::move(done));
                         });
}

void WatchTasks::stop_ended(const std::shared_ptr<Watch>& watch, const plugin::Outcome& outcome, Done done) {
  if (!outcome.error || outcome.gone) {
    background_.post([this, alive = alive_, id = watch->record.id, done = std::move(done)]() mutable {
      auto removed = store_.remove_watch(id);
      loop_.post([alive, removed = std::move(removed), done = std::move(done)]() mutable {
        if (*alive) done(std::move(removed));
      });
    });
    return;
  }
  const auto wait = outcome.next ? *outcome.next : failure_wait(++watch->failures);
  log::warn("engine", "{} does not confirm the end of watch {}, again in {} s: {}", watch->record.provider,
            watch->record.id.to_string(), std::chrono::duration_cast<std::chrono::seconds>(wait).count(),
            outcome.error->message);
  loop_.after(std::chrono::duration_cast<std::chrono::milliseconds>(wait), [this, alive = alive_, watch] {
    if (*alive) end(watch, [](Result<>) {});
  });
  done(std::unexpected(*outcome.error));
}

}  // namespace patchbay::engine
