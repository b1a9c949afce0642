#include "engine/flow_service.hpp"

#include <algorithm>
#include <future>

#include <fmt/format.h>

#include "core/bytes.hpp"
#include "core/log.hpp"
#include "engine/watch_secrets.hpp"

namespace patchbay::engine {
namespace {

// A provider call has 30 s; the rest is queueing.
constexpr std::chrono::seconds kPatience{45};

Rejection reject(Error error) { return {std::move(error), {}}; }

Rejection reject(std::vector<flow::Problem> problems) {
  const auto count = problems.size();
  const auto& first = problems.front();
  auto message = fmt::format("{}: {}", first.pointer, first.message);
  if (count > 1) message += fmt::format(" (and {} more)", count - 1);
  return {{Errc::invalid, std::move(message)}, std::move(problems)};
}

// Runs work on the loop and waits for what it passes to its argument. Not on the loop's thread.
template <class Work>
Result<> wait_on_loop(Loop& loop, Work work) {
  auto promise = std::make_shared<std::promise<Result<>>>();
  auto future = promise->get_future();
  loop.post([promise, work = std::move(work)]() mutable {
    work([promise](Result<> result) { promise->set_value(std::move(result)); });
  });
  if (future.wait_for(kPatience) != std::future_status::ready) {
    return fail(Errc::timeout, "the host did not get to it in time");
  }
  return future.get();
}

}  // namespace

class FlowService::Claim {
 public:
  Claim(FlowService& service, FlowId id) : service_(service), id_(id) {
    const std::lock_guard lock(service_.mutex_);
    held_ = service_.changing_.insert(id_).second;
  }
  ~Claim() {
    if (!held_) return;
    const std::lock_guard lock(service_.mutex_);
    service_.changing_.erase(id_);
  }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

  [[nodiscard]] Result<> taken() const {
    if (held_) return {};
    return fail(Errc::conflict, "flow " + id_.to_string() + " is being switched: try again in a moment");
  }

 private:
  FlowService& service_;
  FlowId id_;
  bool held_ = false;
};

FlowService::FlowService(Loop& loop, const Clock& clock, FlowStore& store, plugin::Registry& registry,
                         vault::Connections& connections, const vault::Vault& vault, FlowCache& cache,
                         WatchTable& watches, WatchTasks& tasks, std::string host)
    : loop_(loop),
      clock_(clock),
      store_(store),
      registry_(registry),
      connections_(connections),
      vault_(vault),
      cache_(cache),
      watches_(watches),
      tasks_(tasks),
      host_(std::move(host)) {}

Checked<> FlowService::validate(std::string_view definition) {
  auto compiled = flow::compile(definition, registry_);
  if (!compiled) return std::unexpected(reject(std::move(compiled.error())));
  return {};
}

Checked<FlowRecord> FlowService::create(UserId user, std::string_view definition) {
  auto compiled = flow::compile(definition, registry_);
  if (!compiled) return std::unexpected(reject(std::move(compiled.error())));
  const auto now = clock_.now();
  FlowRecord record{.id = FlowId::make(now),
                    .user = user,
                    .name = (*compiled)->name,
                    .state = "draft",
                    .version = 1,
                    .definition = std::string(definition),
                    .created = now,
                    .updated = now};
  if (auto saved = store_.insert(record); !saved) return std::unexpected(reject(saved.error()));
  return record;
}

Result<FlowRecord> FlowService::find(UserId user, FlowId id) { return store_.find(user, id); }

Result<std::vector<FlowRecord>> FlowService::list(UserId user, int limit, std::optional<FlowId> before) {
  return store_.list(user, limit, before);
}

Checked<std::shared_ptr<const ReadyFlow>> FlowService::prepare(UserId user, FlowId id, int version,
                                                               std::string_view definition) {
  auto compiled = flow::compile(definition, registry_);
  if (!compiled) return std::unexpected(reject(std::move(compiled.error())));
  auto connections = resolve_connections(**compiled, user, connections_);
  if (!connections) {
    auto error = connections.error();
    if (error.code == Errc::not_found) error.code = Errc::invalid;  // the request names it, so the request is wrong
    return std::unexpected(reject(std::move(error)));
  }
  auto ready = std::make_shared<ReadyFlow>();
  ready->id = id;
  ready->version = version;
  ready->user = user;
  ready->flow = *std::move(compiled);
  ready->connections = *std::move(connections);
  if (auto granted = check_grants(*ready); !granted) return std::unexpected(reject(granted.error()));
  return ready;
}

// That each account may do what the flow wants of it, as far as is known. An operation that degrades does what it can.
Result<> FlowService::check_grants(const ReadyFlow& flow) const {
  for (std::size_t i = 0; i < flow.connections.size(); ++i) {
    const auto& node = flow.flow->nodes[i];
    if (flow.connections[i].is_nil()) continue;
    const auto dot = node.operation.find('.');
    const auto manifest = registry_.manifest(node.operation.substr(0, dot));
    if (!manifest) continue;
    const auto name = node.operation.substr(dot + 1);
    const auto* operation = node.kind == flow::NodeKind::trigger ? manifest->trigger(name) : manifest->reaction(name);
    if (operation == nullptr || operation->degrades) continue;
    const auto trouble = connections_.trouble(flow.connections[i], operation->scopes);
    if (trouble && !trouble->missing.empty()) {
      if (auto noted = connections_.lacks(flow.connections[i], trouble->missing); !noted) return noted;
      return fail(Errc::denied, fmt::format("node '{}': {}: POST /api/v1/connections/authorize with \"connection\": \"{}\" and these scopes", node.id,
                                            trouble->why, flow.connections[i].to_string()));
    }
  }
  return {};
}

Result<WatchRecord> FlowService::new_watch(const ReadyFlow& flow, std::size_t index) const {
  const auto& node = flow.flow->nodes[index];
  const auto dot = node.operation.find('.');
  const auto now = clock_.now();
  WatchRecord watch;
  watch.id = WatchId::make(now);
  watch.flow = flow.id;
  watch.user = flow.user;
  watch.flow_version = flow.version;
  watch.node = node.id;
  watch.provider = node.operation.substr(0, dot);
  watch.trigger = node.operation.substr(dot + 1);
  watch.params = node.params_json;
  watch.connection = flow.connections[index];
  watch.token = random_token(16);
  watch.secret = Secret(random_token(32));
  auto sealed = vault_.seal(watch.secret, vault::watch_purpose(watch.id, watch.user));
  if (!sealed) return std::unexpected(sealed.error());
  watch.sealed_secret = *std::move(sealed);
  watch.status = "active";
  watch.created = now;
  // What has to be polled is this host's; a webhook's watch becomes so with its first renewal.
  const auto manifest = registry_.manifest(watch.provider);
  const auto* trigger = manifest ? manifest->trigger(watch.trigger) : nullptr;
  if (trigger != nullptr && trigger->mode == plugin::TriggerMode::poll) watch.host = host_;
  return watch;
}

// The row and the route come first: providers call back before they answer.
Result<> FlowService::start_watch(const WatchRecord& record) {
  if (auto stored = store_.insert_watch(record); !stored) return stored;
  return wait_on_loop(loop_, [this, record](auto done) {
    auto watch = std::make_shared<Watch>(record);
    watch->adopt(registry_);
    watches_.insert(watch);
    tasks_.begin(watch, std::move(done));
  });
}

// Errors are those of the provider; here the watch is off in any case.
Result<> FlowService::stop_watch(WatchRecord record) {
  if (record.secret.empty()) open_secrets(vault_, {&record, 1});
  if (auto marked = store_.stop_watch(record.id); !marked) return marked;
  return wait_on_loop(loop_, [this, record](auto done) {
    auto watch = watches_.find(record.id);
    if (!watch) {
      watch = std::make_shared<Watch>(record);
      watch->adopt(registry_);
    }
    watch->record.status = "stopping";
    watches_.erase(record.id);
    tasks_.end(watch, std::move(done));
  });
}

Result<> FlowService::start_watches(const std::vector<WatchRecord>& records) {
  for (std::size_t i = 0; i < records.size(); ++i) {
    auto started = start_watch(records[i]);
    if (started) continue;
    for (std::size_t made = 0; made <= i; ++made) {
      if (auto undone = stop_watch(records[made]); !undone) {
        log::warn("engine", "watch {} could not be undone yet: {}", records[made].id.to_string(),
                  undone.error().message);
      }
    }
    const auto& error = started.error();
    return fail(error.code, fmt::format("node '{}' ({}.{}): {}", records[i].node, records[i].provider,
                                        records[i].trigger, error.message));
  }
  return {};
}

Checked<FlowRecord> FlowService::activate(UserId user, FlowId id) {
  const Claim claim(*this, id);
  if (auto taken = claim.taken(); !taken) return std::unexpected(reject(taken.error()));
  auto record = store_.find(user, id);
  if (!record) return std::unexpected(reject(record.error()));
  if (record->state == "active") return *std::move(record);
  auto ready = prepare(user, id, record->version, record->definition);
  if (!ready) return std::unexpected(ready.error());

  std::vector<WatchRecord> watches;
  for (std::size_t i = 0; i < (*ready)->flow->nodes.size(); ++i) {
    if ((*ready)->flow->nodes[i].kind != flow::NodeKind::trigger) continue;
    auto watch = new_watch(**ready, i);
    if (!watch) return std::unexpected(reject(watch.error()));
    watches.push_back(*std::move(watch));
  }
  if (auto started = start_watches(watches); !started) return std::unexpected(reject(started.error()));
  if (auto stored = store_.set_state(id, "active", clock_.now()); !stored) {
    for (const auto& watch : watches) (void)stop_watch(watch);
    return std::unexpected(reject(stored.error()));
  }
  loop_.post([this, flow = *ready] { cache_.put(flow); });
  record->state = "active";
  return *std::move(record);
}

Result<FlowRecord> FlowService::deactivate(UserId user, FlowId id) {
  const Claim claim(*this, id);
  if (auto taken = claim.taken(); !taken) return std::unexpected(taken.error());
  auto record = store_.find(user, id);
  if (!record) return std::unexpected(record.error());
  if (record->state != "active") return *std::move(record);
  auto watches = store_.watches_of(id);
  if (!watches) return std::unexpected(watches.error());
  if (auto stored = store_.set_state(id, "inactive", clock_.now()); !stored) return std::unexpected(stored.error());
  for (const auto& watch : *watches) {
    if (auto stopped = stop_watch(watch); !stopped) {
      log::warn("engine", "flow {} is off, but {} was not told yet: {}", id.to_string(), watch.provider,
                stopped.error().message);
    }
  }
  record->state = "inactive";
  return *std::move(record);
}

Checked<FlowRecord> FlowService::update(UserId user, FlowId id, std::string_view definition,
                                        std::optional<int> if_version) {
  const Claim claim(*this, id);
  if (auto taken = claim.taken(); !taken) return std::unexpected(reject(taken.error()));
  auto record = store_.find(user, id);
  if (!record) return std::unexpected(reject(record.error()));
  if (if_version && *if_version != record->version) {
    return std::unexpected(reject(Error{Errc::conflict, fmt::format("the flow is at version {}, not {}: read it again",
                                                                    record->version, *if_version)}));
  }
  auto compiled = flow::compile(definition, registry_);
  if (!compiled) return std::unexpected(reject(std::move(compiled.error())));
  record->version += 1;
  record->name = (*compiled)->name;
  record->definition = definition;
  record->updated = clock_.now();
  if (record->state != "active") {
    if (auto saved = store_.insert_version(*record); !saved) return std::unexpected(reject(saved.error()));
    return *std::move(record);
  }
  auto ready = prepare(user, id, record->version, definition);
  if (!ready) return std::unexpected(ready.error());
  if (auto switched = switch_version(*record, *ready); !switched) return std::unexpected(switched.error());
  return *std::move(record);
}

// New triggers first: when one cannot be started, everything stays as it was. Then the version, then the rest.
Checked<> FlowService::switch_version(const FlowRecord& saved, const std::shared_ptr<const ReadyFlow>& ready) {
  auto present = store_.watches_of(saved.id);
  if (!present) return std::unexpected(reject(present.error()));
  std::vector<WatchRecord> added;
  std::set<WatchId> kept;
  for (std::size_t i = 0; i < ready->flow->nodes.size(); ++i) {
    if (ready->flow->nodes[i].kind != flow::NodeKind::trigger) continue;
    auto made = new_watch(*ready, i);
    if (!made) return std::unexpected(reject(made.error()));
    auto& wanted = *made;
    const auto same = std::find_if(present->begin(), present->end(), [&](const WatchRecord& watch) {
      return watch.status == "active" && watch.node == wanted.node && watch.provider == wanted.provider &&
             watch.trigger == wanted.trigger && watch.params == wanted.params && watch.connection == wanted.connection;
    });
    if (same == present->end()) {
      added.push_back(std::move(wanted));
    } else {
      kept.insert(same->id);
    }
  }
  if (auto started = start_watches(added); !started) return std::unexpected(reject(started.error()));
  if (auto stored = store_.insert_version(saved); !stored) {
    for (const auto& watch : added) (void)stop_watch(watch);
    return std::unexpected(reject(stored.error()));
  }
  for (const auto& watch : *present) {
    if (watch.status != "active") continue;
    if (!kept.contains(watch.id)) {
      (void)stop_watch(watch);  // told again in the background when the provider does not answer
      continue;
    }
    if (auto stored = store_.set_watch_version(watch.id, saved.version); !stored) {
      return std::unexpected(reject(stored.error()));
    }
    loop_.post([this, id = watch.id, version = saved.version] {
      const auto live = watches_.find(id);
      if (!live) return;
      live->record.flow_version = version;
      ++live->record.revision;
    });
  }
  loop_.post([this, ready] { cache_.put(ready); });
  return {};
}

Result<> FlowService::remove(UserId user, FlowId id) {
  if (auto off = deactivate(user, id); !off) return std::unexpected(off.error());
  const Claim claim(*this, id);
  if (auto taken = claim.taken(); !taken) return taken;
  auto left = store_.watches_of(id);
  if (!left) return std::unexpected(left.error());
  for (const auto& watch : *left) {
    // Without its row nobody would remember to tell the provider.
    if (auto stopped = stop_watch(watch); !stopped) {
      return fail(Errc::unavailable, fmt::format("the flow is off, but {} has not confirmed the end of its "
                                                 "subscription ({}): delete it again later",
                                                 watch.provider, stopped.error().message));
    }
  }
  loop_.post([this, id] { cache_.forget(id); });
  return store_.remove(user, id);
}

}  // namespace patchbay::engine
