#include "engine/engine.hpp"

#include <fmt/format.h>

#include "core/log.hpp"
#include "engine/watch_secrets.hpp"

namespace patchbay::engine {
namespace {

constexpr std::chrono::milliseconds kRetryDeliveries{2'000};
constexpr std::chrono::milliseconds kDrainStep{10};
constexpr std::chrono::milliseconds kComeBackAgain{1'000};

}  // namespace

Engine::Engine(const Parts& parts, EngineSettings settings)
    : parts_(parts),
      settings_(std::move(settings)),
      hosts_(parts.database, parts.host, settings_.lease),
      flow_store_(parts.database, hosts_.me()),
      journal_(hosts_.me()),
      run_store_(parts.database, hosts_.me()),
      retention_(parts.loop, parts.housekeeping, parts.clock, parts.database, settings_.retention),
      commit_(parts.database, parts.loop, {&journal_, &run_store_, &retention_}, settings_.commit,
              [this](store::Transaction& transaction) { return hosts_.fence(transaction); }),
      cache_(flow_store_, parts.registry, parts.connections),
      source_(parts.loop, parts.background, parts.vault, flow_store_, watches_, parts.registry),
      runner_(parts.loop, parts.clock, run_store_, parts.registry, parts.connections, settings_.runner),
      intake_(parts.loop, parts.background, parts.clock, journal_, run_store_, cache_, runner_, settings_.intake,
              parts.database.is_shared()),
      hooks_(parts.loop, parts.background, parts.clock, parts.database, parts.vault, watches_, source_, intake_),
      tasks_(parts.loop, parts.background, parts.clock, parts.vault, parts.connections, flow_store_, watches_, source_, hooks_, intake_),
      flows_(parts.loop, parts.clock, flow_store_, parts.registry, parts.connections, parts.vault, cache_, watches_,
             tasks_, hosts_.me()) {
  if (parts.database.is_shared()) {
    runner_.only_while([this] { return hosts_.is_sure(); });
  }
  journal_.attach(commit_, 0);
  run_store_.attach(commit_, 1);
  retention_.attach(commit_, 2);
  watch_connections();
  commit_.on_change([this, alive = alive_](const Result<>& result) {
    if (!*alive) return;
    takes_ = result.has_value();
    told_(takes_ ? "" : result.error().message);
  });
}

Engine::~Engine() {
  *alive_ = false;
  parts_.registry.set_listener(nullptr);
}

// Runs rest for an account that is not well, and go on when it is: here, and wherever they were put to rest.
void Engine::watch_connections() {
  auto& connections = parts_.connections;
  connections.on_active([this, alive = alive_](ConnectionId id) {
    parts_.loop.post([this, alive, id] {
      if (*alive) connection_ready(id);
    });
  });
  runner_.on_connection(
      [this, &connections](ConnectionId id) {  // it may have become well while the run was on its way to rest
        const auto trouble = connections.trouble(id, {});
        const auto standing = connections.standing(id);
        if (!trouble && (!standing || standing->state == vault::ConnectionState::active)) connection_ready(id);
      },
      [this, &connections](ConnectionId id, vault::Scopes missing) {
        parts_.background.post([&connections, id, missing = std::move(missing)] {
          if (auto noted = connections.lacks(id, missing); !noted) log::error("engine", "connection {}: {}", id.to_string(), noted.error().message);
        });
      });
}

void Engine::connection_ready(ConnectionId id) {
  runner_.connection_ready(id);
  tasks_.connection_ready(id);
  parts_.background.post([this, alive = alive_, id, now = parts_.clock.now()] {
    auto woken = run_store_.wake(id, now);
    parts_.loop.post([this, alive, id, woken = std::move(woken)] {
      if (!*alive) return;
      if (!woken) log::error("engine", "runs that wait for connection {} could not be woken: {}", id.to_string(), woken.error().message);
      intake_.look();
    });
  });
}

Result<> Engine::start(std::string public_url) {
  hooks_.set_callback_base(std::move(public_url));
  parts_.registry.set_listener(this);
  if (auto entered = hosts_.enter(parts_.clock.now()); !entered) return entered;
  auto watches = read_watches();
  if (!watches) return std::unexpected(watches.error());
  take_watches(*std::move(watches));
  intake_.begin();
  hooks_.retry_open_deliveries();
  retry_deliveries_later();
  beat_later();
  retention_.begin();
  return {};
}

Result<std::vector<WatchRecord>> Engine::read_watches() {
  if (auto claimed = flow_store_.claim_watches(); !claimed) return claimed;
  return opened(flow_store_.all_watches());
}

Result<std::vector<WatchRecord>> Engine::opened(Result<std::vector<WatchRecord>> records) {
  if (records) open_secrets(parts_.vault, *records);
  return records;
}

// Every host hears all webhooks; only one polls, renews and ends.
void Engine::take_watches(std::vector<WatchRecord> records) {
  for (auto& record : records) {
    const bool mine = record.host == hosts_.me();
    const auto watch = source_.insert(std::move(record));
    if (!mine) continue;
    if (watch->record.status == "active") tasks_.schedule(watch);
    else tasks_.end(watch, [](Result<>) {});
  }
}

void Engine::beat_later() {
  parts_.loop.after(settings_.lease / 5, [this, alive = alive_] {
    if (!*alive) return;
    // Where nobody else looks it is only asked whether the database takes something again.
    if (parts_.database.is_shared() || !takes_) beat();
    else beat_later();
  });
}

void Engine::beat() {
  parts_.background.post([this, alive = alive_, now = parts_.clock.now(), all = std::exchange(read_all_watches_, false)] {
    auto freed = hosts_.beat(now);
    Result<std::vector<WatchRecord>> watches;
    if (freed) watches = all ? read_watches() : opened(flow_store_.claim_watches());
    parts_.loop.post([this, alive, freed = std::move(freed), watches = std::move(watches)]() mutable {
      if (!*alive) return;
      if (!freed) log::warn("engine", "this host could not show that it lives: {}", freed.error().message);
      takes_ = freed.has_value();
      told_(takes_ ? "" : freed.error().message);
      if (hosts_.is_shut_out()) return come_back();
      if (watches) take_watches(*std::move(watches));
      read_all_watches_ = !freed || !watches;  // a claim may have been made whose answer got lost
      if (freed && *freed) intake_.look();
      runner_.begin_waiting();
      beat_later();
    });
  });
}

// Others have taken this host for dead and do its work. It forgets what it had, as after a crash, and comes in anew once
// nothing of before is on its way to the store any more.
void Engine::come_back() {
  log::warn("engine", "another host has taken this one for dead: it begins anew");
  runner_.abandon();
  if (commit_.pending() > 0) {
    parts_.loop.after(kDrainStep, [this, alive = alive_] {
      if (*alive) come_back();
    });
    return;
  }
  parts_.background.post([this, alive = alive_, now = parts_.clock.now()] {
    auto entered = hosts_.enter(now);
    Result<std::vector<WatchRecord>> watches;
    if (entered) watches = read_watches();
    parts_.loop.post([this, alive, entered = std::move(entered), watches = std::move(watches)]() mutable {
      if (!*alive) return;
      if (!entered || !watches) {
        log::error("engine", "this host could not come in again: {}", (entered ? watches.error() : entered.error()).message);
        parts_.loop.after(kComeBackAgain, [this, alive = alive_] {
          if (*alive) come_back();
        });
        return;
      }
      tasks_.forget_all();
      watches_.clear();
      take_watches(*std::move(watches));
      intake_.look();
      beat_later();
    });
  });
}

void Engine::retry_deliveries_later() {
  parts_.loop.after(kRetryDeliveries, [this, alive = alive_] {
    if (!*alive) return;
    hooks_.retry_open_deliveries();
    retry_deliveries_later();
  });
}

Result<> Engine::may_replace(const plugin::Manifest&, const plugin::Manifest& next) {
  for (const auto& watch : watches_.of_provider(next.id)) {
    const auto& record = watch->record;
    const auto* trigger = next.trigger(record.trigger);
    if (trigger == nullptr) {
      return fail(Errc::conflict, fmt::format("it has no trigger '{}', which flow {} listens to", record.trigger,
                                              record.flow.to_string()));
    }
    if (watch->trigger != nullptr && watch->trigger->mode != trigger->mode) {
      return fail(Errc::conflict, fmt::format("its trigger '{}' works in another way than the one that flow {} listens "
                                              "to: deactivate the flow first",
                                              record.trigger, record.flow.to_string()));
    }
    const auto& reads = next.reads_states;
    if (!record.state.empty() && std::find(reads.begin(), reads.end(), record.state_version) == reads.end()) {
      return fail(Errc::conflict, fmt::format("it does not read state of version {}, which flow {} has",
                                              record.state_version, record.flow.to_string()));
    }
  }
  return {};
}

void Engine::replaced(const std::string& provider) {
  for (const auto& watch : watches_.of_provider(provider)) {
    const bool slept = watch->provider == nullptr;
    watch->adopt(parts_.registry);
    if (slept && watch->provider != nullptr) tasks_.schedule(watch);
  }
  // How credentials go into requests may have changed.
  parts_.background.post([&connections = parts_.connections] {
    if (auto loaded = connections.load(); !loaded) {
      log::error("engine", "connections could not be read after a reload: {}", loaded.error().message);
    }
  });
}

void Engine::drain(std::chrono::milliseconds limit, Task done) {
  runner_.drain();
  wait_for_quiet(std::chrono::steady_clock::now() + limit, std::make_shared<Task>(std::move(done)));
}

void Engine::wait_for_quiet(std::chrono::steady_clock::time_point deadline, std::shared_ptr<Task> done) {
  const bool quiet = runner_.reactions_under_way() == 0 && commit_.pending() == 0;
  if (quiet || std::chrono::steady_clock::now() >= deadline) return leave(done);
  parts_.loop.after(kDrainStep, [this, alive = alive_, deadline, done] {
    if (*alive) wait_for_quiet(deadline, done);
  });
}

void Engine::leave(const std::shared_ptr<Task>& done) {
  const bool interrupted = runner_.reactions_under_way() > 0 || commit_.pending() > 0;
  parts_.background.post([this, alive = alive_, done, interrupted, now = parts_.clock.now()] {
    auto left = hosts_.leave(now, interrupted);
    parts_.loop.post([alive, done, left = std::move(left)] {
      if (!*alive) return;
      if (!left) log::warn("engine", "what this host had is free only when others see that it is gone: {}", left.error().message);
      (*done)();
    });
  });
}

}  // namespace patchbay::engine
