#include "engine/engine.hpp"

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
      intake_(parts.loop, parts.background, parts.clock, journal_, run_store_, cache_, runner_),
      hooks_(parts.loop, parts.background, parts.clock, parts.database, parts.vault, watches_, intake_),
      tasks_(parts.loop, parts.background, parts.clock, parts.vault, flow_store_, watches_, hooks_, intake_),
      flows_(parts.loop, parts.clock, flow_store_, parts.registry, parts.connections, parts.vault, cache_, watches_,
             tasks_) {
  journal_.attach(commit_, 0);
  run_store_.attach(commit_, 1);
}

Engine::~Engine() { *alive_ = false; }

Result<> Engine::start(std::string public_url) {
  hooks_.set_callback_base(std::move(public_url));
  auto watches = flow_store_.all_watches();
  if (!watches) return std::unexpected(watches.error());
  for (auto& record : *watches) {
    auto watch = make_watch(std::move(record), parts_.registry);
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
