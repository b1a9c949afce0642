#include "engine/engine.hpp"

#include <fmt/format.h>

#include "core/log.hpp"

namespace patchbay::engine {
namespace {

constexpr std::chrono::milliseconds kRetryDeliveries{2'000};
constexpr std::chrono::milliseconds kDrainStep{10};

}  // namespace

Engine::Engine(const Parts& parts, EngineSettings settings)
    : parts_(parts),
      settings_(std::move(settings)),
      flow_store_(parts.database),
      run_store_(parts.database),
      commit_(parts.database, parts.loop, {&journal_, &run_store_}, settings_.commit),
      cache_(flow_store_, parts.registry, parts.connections),
      runner_(parts.loop, parts.clock, run_store_, parts.registry, settings_.runner),
      intake_(parts.loop, parts.background, parts.clock, journal_, run_store_, cache_, runner_, settings_.load_retry),
      hooks_(parts.loop, parts.background, parts.clock, parts.database, parts.vault, watches_, intake_),
      tasks_(parts.loop, parts.background, parts.clock, parts.vault, flow_store_, watches_, hooks_, intake_),
      flows_(parts.loop, parts.clock, flow_store_, parts.registry, parts.connections, parts.vault, cache_, watches_,
             tasks_) {
  journal_.attach(commit_, 0);
  run_store_.attach(commit_, 1);
}

Engine::~Engine() {
  *alive_ = false;
  parts_.registry.set_listener(nullptr);
}

Result<> Engine::start(std::string public_url) {
  hooks_.set_callback_base(std::move(public_url));
  parts_.registry.set_listener(this);
  auto watches = flow_store_.all_watches();
  if (!watches) return std::unexpected(watches.error());
  for (auto& record : *watches) {
    auto watch = std::make_shared<Watch>(std::move(record));
    watch->adopt(parts_.registry);
    if (watch->provider == nullptr) {
      log::warn("engine", "watch {} sleeps: no plugin offers {}.{}", watch->record.id.to_string(),
                watch->record.provider, watch->record.trigger);
    }
    if (watch->record.status == "active") {
      watches_.insert(watch);
      tasks_.schedule(watch);
    } else {
      tasks_.end(watch, [](Result<>) {});
    }
  }
  intake_.load_open_runs();
  hooks_.retry_open_deliveries();
  retry_deliveries_later();
  return {};
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
  if (quiet || std::chrono::steady_clock::now() >= deadline) return (*done)();
  parts_.loop.after(kDrainStep, [this, alive = alive_, deadline, done] {
    if (*alive) wait_for_quiet(deadline, done);
  });
}

}  // namespace patchbay::engine
