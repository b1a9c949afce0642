#include "plugin/registry.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "core/log.hpp"
#include "plugin/instance.hpp"
#include "plugin/module.hpp"

namespace patchbay::plugin {
namespace {

namespace fs = std::filesystem;

std::string host_of(std::string_view url) {
  const auto scheme = url.find("://");
  if (scheme == std::string_view::npos) return {};
  auto rest = url.substr(scheme + 3);
  rest = rest.substr(0, rest.find_first_of("/?#"));
  if (rest.starts_with('[')) return std::string(rest.substr(0, rest.find(']') + 1));
  return std::string(rest.substr(0, rest.find(':')));
}

// For checking a file: it asks for nothing before its first task, and gets none.
class NoClient : public egress::HttpClient {
 public:
  Handle send(egress::HttpRequest, Done) override { return 0; }
  void cancel(Handle) override {}
};

}  // namespace

struct Registry::Impl {
  struct Loaded {
    Module module;
    std::unique_ptr<Instance> instance;
  };

  Loop& loop;
  const Clock& clock;
  egress::HttpClient& client;
  RegistrySettings settings;
  std::vector<PluginInfo> files;
  std::map<std::string, std::unique_ptr<Loaded>, std::less<>> providers;

  Result<> load_file(const std::string& file, PluginInfo& info);
  InstanceSettings settings_for(const Manifest& manifest) const;
  const Operation* operation(std::string_view full_name, bool trigger) const;
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
  if (!made.base_url.empty()) hosts.push_back(host_of(made.base_url));
  made.allowed_hosts = std::make_shared<const std::vector<std::string>>(std::move(hosts));
  made.limits.tasks = settings.tasks_per_plugin;
  made.limits.state_bytes = settings.state_limit_bytes;
  made.limits.event_bytes = settings.event_limit_bytes;
  made.limits.events_per_task = settings.events_per_task;
  return made;
}

Result<> Registry::Impl::load_file(const std::string& file, PluginInfo& info) {
  if (settings.prober) {
    if (auto probed = settings.prober(file); !probed) return probed;
  }
  auto module = load_module(file, settings.private_folder);
  if (!module) return std::unexpected(module.error());
  info.id = module->manifest.id;
  info.version = module->manifest.version;
  info.sha256 = module->sha256;
  if (const auto known = providers.find(info.id); known != providers.end()) {
    return fail(Errc::conflict,
                fmt::format("provider '{}' is already loaded from {}", info.id, known->second->module.file));
  }
  auto loaded = std::make_unique<Loaded>();
  loaded->module = *std::move(module);
  auto instance = Instance::create(loop, clock, client, loaded->module, settings_for(loaded->module.manifest));
  if (!instance) return std::unexpected(instance.error());
  loaded->instance = *std::move(instance);
  providers.emplace(info.id, std::move(loaded));
  return {};
}

const Operation* Registry::Impl::operation(std::string_view full_name, bool trigger) const {
  const auto dot = full_name.find('.');
  if (dot == std::string_view::npos) return nullptr;
  const auto found = providers.find(full_name.substr(0, dot));
  if (found == providers.end()) return nullptr;
  const auto& manifest = found->second->module.manifest;
  return trigger ? manifest.trigger(full_name.substr(dot + 1)) : manifest.reaction(full_name.substr(dot + 1));
}

std::vector<std::string> Registry::Impl::names(bool triggers) const {
  std::vector<std::string> all;
  for (const auto& [id, loaded] : providers) {
    const auto& manifest = loaded->module.manifest;
    for (const auto& operation : triggers ? manifest.triggers : manifest.reactions) {
      if (!operation.hidden) all.push_back(id + "." + operation.id);
    }
  }
  return all;
}

Registry::Registry(Loop& loop, const Clock& clock, egress::HttpClient& client, RegistrySettings settings)
    : impl_(std::make_unique<Impl>(Impl{loop, clock, client, std::move(settings), {}, {}})) {}
Registry::~Registry() = default;

Result<> Registry::load() {
  std::error_code error;
  std::vector<std::string> files;
  for (fs::directory_iterator at(impl_->settings.folder, error), end; !error && at != end; at.increment(error)) {
    const auto name = at->path().filename().string();
    if (name.ends_with(".so") && !name.starts_with('.')) files.push_back(at->path().string());
  }
  if (error) {
    return fail(Errc::not_found,
                fmt::format("the plugin folder {} cannot be read: {}", impl_->settings.folder, error.message()));
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    PluginInfo info;
    info.file = file;
    const auto loaded = impl_->load_file(file, info);
    info.loaded = loaded.has_value();
    if (!loaded) {
      info.failure = loaded.error().message;
      log::warn("plugin", "refused {}: {}", fs::path(file).filename().string(), info.failure);
    }
    impl_->files.push_back(std::move(info));
  }
  return {};
}

PluginInfo Registry::check(const std::string& file, const std::string& private_folder) {
  PluginInfo info;
  info.file = file;
  {
    Loop loop;
    NoClient client;
    RegistrySettings settings;
    settings.private_folder = private_folder;
    Impl impl{loop, system_clock(), client, std::move(settings), {}, {}};
    const auto loaded = impl.load_file(file, info);
    info.loaded = loaded.has_value();
    if (!loaded) info.failure = loaded.error().message;
  }
  std::error_code ignored;
  fs::remove(private_folder, ignored);
  return info;
}

std::vector<PluginInfo> Registry::list() const {
  auto files = impl_->files;
  for (auto& info : files) {
    const auto found = impl_->providers.find(info.id);
    if (info.loaded && found != impl_->providers.end() && found->second->instance) {
      info.tasks = found->second->instance->tasks();
    }
  }
  return files;
}

std::vector<const Manifest*> Registry::manifests() const {
  std::vector<const Manifest*> all;
  for (const auto& [id, loaded] : impl_->providers) all.push_back(&loaded->module.manifest);
  return all;
}

const Manifest* Registry::manifest(std::string_view provider) const {
  const auto found = impl_->providers.find(provider);
  return found == impl_->providers.end() ? nullptr : &found->second->module.manifest;
}

Provider* Registry::provider(std::string_view provider) {
  const auto found = impl_->providers.find(provider);
  return found == impl_->providers.end() ? nullptr : found->second->instance.get();
}

void Registry::shut_down() {
  for (auto& [id, loaded] : impl_->providers) loaded->instance.reset();
}

std::optional<flow::OperationSchema> Registry::trigger(std::string_view full_name) const {
  const auto* found = impl_->operation(full_name, true);
  if (found == nullptr) return std::nullopt;
  return flow::OperationSchema{found->params, found->output};
}

std::optional<flow::OperationSchema> Registry::reaction(std::string_view full_name) const {
  const auto* found = impl_->operation(full_name, false);
  if (found == nullptr) return std::nullopt;
  return flow::OperationSchema{found->params, found->output};
}

std::vector<std::string> Registry::trigger_names() const { return impl_->names(true); }
std::vector<std::string> Registry::reaction_names() const { return impl_->names(false); }

bool Registry::needs_connection(std::string_view provider) const {
  const auto* found = manifest(provider);
  return found != nullptr && !found->auth.empty();
}

}  // namespace patchbay::plugin
