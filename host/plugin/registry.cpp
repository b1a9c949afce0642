#include "plugin/registry.hpp"

#include <algorithm>
#include <filesystem>
#include <future>
#include <mutex>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/log.hpp"
#include "core/loop_thread.hpp"
#include "egress/target.hpp"
#include "plugin/module.hpp"
#include "plugin/slot.hpp"

namespace patchbay::plugin {
namespace {

namespace fs = std::filesystem;

// For checking a file: it asks for nothing before its first task, and gets none.
class NoClient : public egress::HttpClient {
 public:
  Handle send(egress::HttpRequest, Done) override { return 0; }
  void cancel(Handle) override {}
};

}  // namespace

struct Registry::Impl {
  Loop& loop;
  const Clock& clock;
  egress::HttpClient& client;
  const RegistrySettings settings;
  ReloadListener* listener = nullptr;

  mutable std::mutex mutex;                 // guards what follows; the loop alone writes
  std::map<std::string, PluginInfo> files;  // by path
  // Slots are only added: pointers to them are handed out.
  std::map<std::string, std::unique_ptr<Slot>, std::less<>> slots;
  // Starts the plugins' own processes; from the first of them on. Ends before the slots.
  mutable std::once_flag starter_once{};
  mutable std::optional<LoopThread> starter_thread{};

  Result<std::optional<Module>> prepare(const std::string& file, std::string_view known_sha256) const;
  Result<std::optional<Module>> start_isolated(PrivateCopy copy, Manifest manifest) const;
  Executor& starter() const;
  Result<std::unique_ptr<Worker>> put_to_work(Module& module, InstanceSettings made) const;
  Result<> install(Module module);
  Result<> check_owner(const Module& module, const std::string& id) const;
  void refuse(const std::string& file, const Error& error);
  PluginInfo with_figures(PluginInfo info) const;
  InstanceSettings settings_for(const Manifest& manifest) const;
  std::optional<flow::OperationSchema> operation(std::string_view full_name, bool trigger) const;
  std::shared_ptr<const Manifest> manifest(std::string_view id) const;
  std::vector<std::string> names(bool triggers) const;
};

InstanceSettings Registry::Impl::settings_for(const Manifest& manifest) const {
  InstanceSettings made;
  made.base_url = manifest.base_url;
  auto hosts = manifest.hosts;
  if (const auto found = settings.providers.find(manifest.id); found != settings.providers.end()) {
    const auto& override = found->second;
    if (!override.base_url.empty()) made.base_url = override.base_url;
    hosts.insert(hosts.end(), override.allowed_hosts.begin(), override.allowed_hosts.end());
    made.config_json = R"({"settings":)" + override.settings_json + "}";
  }
  while (made.base_url.ends_with('/')) made.base_url.pop_back();
  if (const auto target = egress::parse_target(made.base_url)) hosts.emplace_back(target->host());
  made.allowed_hosts = std::make_shared<const std::vector<std::string>>(std::move(hosts));
  made.limits.tasks = settings.tasks_per_plugin;
  made.limits.state_bytes = settings.state_limit_bytes;
  made.limits.event_bytes = settings.event_limit_bytes;
  made.limits.events_per_task = settings.events_per_task;
  return made;
}

Result<std::optional<Module>> Registry::Impl::prepare(const std::string& file, std::string_view known_sha256) const {
  auto copy = PrivateCopy::make(file, settings.private_folder, settings.trust);
  if (!copy) return std::unexpected(copy.error());
  if (copy->sha256() == known_sha256) return std::nullopt;
  if (settings.isolated) {
    auto manifest = read_manifest(copy->path());
    if (!manifest) return std::unexpected(manifest.error());
    if (settings.isolated(manifest->id)) return start_isolated(*std::move(copy), *std::move(manifest));
  }
  if (settings.prober) {
    if (auto probed = settings.prober(copy->path()); !probed) return std::unexpected(probed.error());
  }
  auto module = load_module(*copy, settings.mapping);
  if (!module) return std::unexpected(module.error());
  return *std::move(module);
}

Executor& Registry::Impl::starter() const {
  std::call_once(starter_once, [this] { starter_thread.emplace(); });
  return starter_thread->loop();
}

// Its first process is what tries the file.
Result<std::optional<Module>> Registry::Impl::start_isolated(PrivateCopy copy, Manifest manifest) const {
  Module module;
  module.file = copy.file();
  module.sha256 = copy.sha256();
  module.copy = std::make_shared<const PrivateCopy>(std::move(copy));
  module.manifest = std::make_shared<const Manifest>(std::move(manifest));
  std::promise<Result<isolation::StartedProcess>> promise;
  starter().post([&] { promise.set_value(isolation::start_process(settings.isolation, *module.copy, settings_for(*module.manifest))); });
  auto started = promise.get_future().get();
  if (!started) return std::unexpected(started.error());
  module.process = {new isolation::StartedProcess(*std::move(started)), [](isolation::StartedProcess* process) {
                      isolation::end_process(*process);  // unless somebody has taken it over
                      delete process;
                    }};
  return module;
}

Result<std::unique_ptr<Worker>> Registry::Impl::put_to_work(Module& module, InstanceSettings made) const {
  if (module.process) {
    return std::make_unique<isolation::Isolated>(loop, starter(), clock, client, module.manifest, module.copy, std::move(made), settings.isolation,
                                                 std::exchange(*module.process, {}));
  }
  return Instance::create(loop, clock, client, module, std::move(made));
}

// Of two files with one id the second is refused, unless the first is gone: then it was renamed.
Result<> Registry::Impl::check_owner(const Module& module, const std::string& id) const {
  const std::lock_guard lock(mutex);
  for (const auto& [path, info] : files) {
    if (path == module.file || info.id != id || !info.loaded || !fs::exists(path)) continue;
    return fail(Errc::conflict, fmt::format("provider '{}' is already loaded from {}", id, path));
  }
  return {};
}

Result<> Registry::Impl::install(Module module) {
  const auto id = module.manifest->id;
  if (auto owned = check_owner(module, id); !owned) return owned;
  const auto now = manifest(id);
  if (now && listener != nullptr) {
    if (auto allowed = listener->may_replace(*now, *module.manifest); !allowed) return allowed;
  }
  Slot* slot = nullptr;
  {
    const std::lock_guard lock(mutex);
    auto& place = slots[id];
    if (!place) place = std::make_unique<Slot>(loop, settings.drain_limit);
    slot = place.get();
  }
  auto generation = std::make_shared<Generation>();
  generation->module = std::move(module);
  auto made = settings_for(*generation->module.manifest);
  made.first_id = slot->next_first_id();
  auto worker = put_to_work(generation->module, std::move(made));
  if (!worker) return std::unexpected(worker.error());
  generation->worker = *std::move(worker);
  const auto& loaded = generation->module;
  {
    const std::lock_guard lock(mutex);
    std::erase_if(files, [&](const auto& entry) { return entry.first != loaded.file && entry.second.id == id; });
    auto& info = files[loaded.file];
    info = {.id = id,
            .version = loaded.manifest->version,
            .file = loaded.file,
            .sha256 = loaded.sha256,
            .loaded = true,
            .failure = {},
            .process = {},
            .mapped = info.mapped + 1};
  }
  slot->replace(std::move(generation));
  return {};
}

void Registry::Impl::refuse(const std::string& file, const Error& error) {
  log::warn("plugin", "refused {}: {}", fs::path(file).filename().string(), error.message);
  const std::lock_guard lock(mutex);
  auto& info = files[file];
  info.file = file;
  info.failure = error.message;
}

PluginInfo Registry::Impl::with_figures(PluginInfo info) const {
  const auto found = slots.find(info.id);
  if (found == slots.end() || !info.loaded) return info;
  info.process = found->second->process();
  info.tasks = found->second->tasks();
  info.draining = found->second->draining();
  if (settings.mapping == Mapping::unloaded) info.mapped = info.draining + 1;
  return info;
}

std::shared_ptr<const Manifest> Registry::Impl::manifest(std::string_view id) const {
  const std::lock_guard lock(mutex);
  const auto found = slots.find(id);
  return found == slots.end() ? nullptr : found->second->manifest();
}

std::optional<flow::OperationSchema> Registry::Impl::operation(std::string_view full_name, bool trigger) const {
  const auto dot = full_name.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto known = manifest(full_name.substr(0, dot));
  if (!known) return std::nullopt;
  const auto name = full_name.substr(dot + 1);
  const auto* found = trigger ? known->trigger(name) : known->reaction(name);
  if (found == nullptr) return std::nullopt;
  return flow::OperationSchema{found->params, found->output};
}

std::vector<std::string> Registry::Impl::names(bool triggers) const {
  std::vector<std::string> all;
  const std::lock_guard lock(mutex);
  for (const auto& [id, slot] : slots) {
    const auto known = slot->manifest();
    if (!known) continue;
    for (const auto& operation : triggers ? known->triggers : known->reactions) {
      if (!operation.hidden) all.push_back(id + "." + operation.id);
    }
  }
  return all;
}

Registry::Registry(Loop& loop, const Clock& clock, egress::HttpClient& client, RegistrySettings settings)
    : impl_(new Impl{.loop = loop,
                     .clock = clock,
                     .client = client,
                     .settings = std::move(settings),
                     .mutex = {},
                     .files = {},
                     .slots = {}}) {}
Registry::~Registry() = default;

Result<> Registry::load() {
  std::error_code error;
  std::vector<std::string> files;
  for (fs::directory_iterator at(folder(), error), end; !error && at != end; at.increment(error)) {
    const auto name = at->path().filename().string();
    if (is_plugin_name(name)) files.push_back(at->path().string());
  }
  if (error) {
    return fail(Errc::not_found, fmt::format("the plugin folder {} cannot be read: {}", folder(), error.message()));
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    auto module = prepare(file, true);
    const auto loaded = module ? impl_->install(std::move(**module)) : Result<>(std::unexpected(module.error()));
    if (!loaded) impl_->refuse(file, loaded.error());
  }
  return {};
}

PluginInfo Registry::check(const std::string& file, const std::string& private_folder) {
  PluginInfo info;
  {
    Loop loop;
    NoClient client;
    RegistrySettings settings;
    settings.private_folder = private_folder;
    Registry registry(loop, system_clock(), client, std::move(settings));
    auto module = registry.prepare(file, true);
    const auto loaded = module ? registry.impl_->install(std::move(**module)) : Result<>(std::unexpected(module.error()));
    if (!loaded) registry.impl_->refuse(file, loaded.error());
    info = registry.list().front();
  }
  return info;
}

Result<std::optional<Module>> Registry::prepare(const std::string& file, bool force) const {
  std::string known;
  if (!force) {
    const std::lock_guard lock(impl_->mutex);
    if (const auto found = impl_->files.find(file); found != impl_->files.end()) known = found->second.sha256;
  }
  return impl_->prepare(file, known);
}

Result<> Registry::install(Module module) {
  const auto id = module.manifest->id;
  const auto sha256 = module.sha256;
  auto installed = impl_->install(std::move(module));
  if (!installed) return installed;
  log::info("plugin", "{} {} is at work, build {}", id, impl_->manifest(id)->version, sha256.substr(0, 12));
  if (impl_->listener != nullptr) impl_->listener->replaced(id);
  return {};
}

void Registry::refuse(const std::string& file, const Error& error) { impl_->refuse(file, error); }

void Registry::forgive(const std::string& file) {
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->files.find(file);
  if (found != impl_->files.end() && found->second.loaded) found->second.failure.clear();
}

void Registry::set_listener(ReloadListener* listener) { impl_->listener = listener; }

const std::string& Registry::folder() const { return impl_->settings.folder; }

std::vector<PluginInfo> Registry::list() const {
  std::vector<PluginInfo> all;
  const std::lock_guard lock(impl_->mutex);
  for (const auto& [path, info] : impl_->files) all.push_back(impl_->with_figures(info));
  return all;
}

std::optional<PluginInfo> Registry::info(std::string_view provider) const {
  const std::lock_guard lock(impl_->mutex);
  for (const auto& [path, info] : impl_->files) {
    if (info.id == provider && info.loaded) return impl_->with_figures(info);
  }
  return std::nullopt;
}

std::vector<std::shared_ptr<const Manifest>> Registry::manifests() const {
  std::vector<std::shared_ptr<const Manifest>> all;
  const std::lock_guard lock(impl_->mutex);
  for (const auto& [id, slot] : impl_->slots) {
    if (auto known = slot->manifest()) all.push_back(std::move(known));
  }
  return all;
}

std::shared_ptr<const Manifest> Registry::manifest(std::string_view provider) const {
  return impl_->manifest(provider);
}

Provider* Registry::provider(std::string_view provider) {
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->slots.find(provider);
  return found == impl_->slots.end() || !found->second->manifest() ? nullptr : found->second.get();
}

void Registry::shut_down() {
  for (auto& [id, slot] : impl_->slots) slot->shut_down();
}

std::optional<flow::OperationSchema> Registry::trigger(std::string_view full_name) const {
  return impl_->operation(full_name, true);
}

std::optional<flow::OperationSchema> Registry::reaction(std::string_view full_name) const {
  return impl_->operation(full_name, false);
}

std::vector<std::string> Registry::trigger_names() const { return impl_->names(true); }
std::vector<std::string> Registry::reaction_names() const { return impl_->names(false); }

bool Registry::needs_connection(std::string_view provider) const {
  const auto found = manifest(provider);
  return found && !found->auth.empty();
}

}  // namespace patchbay::plugin
