#include "plugin/reloader.hpp"

#include <filesystem>

#include <fmt/format.h>

#include "core/log.hpp"

namespace patchbay::plugin {

namespace fs = std::filesystem;

Reloader::Reloader(Loop& loop, Executor& background, Registry& registry, std::chrono::milliseconds settle)
    : loop_(loop),
      background_(background),
      registry_(registry),
      settle_(settle),
      reloads_(metrics::counter("patchbay_plugin_reloads_total", "Plugin files looked at again", {{"status", "ok"}})),
      failures_(
          metrics::counter("patchbay_plugin_reloads_total", "Plugin files looked at again", {{"status", "failed"}})) {}

Reloader::~Reloader() {
  *alive_ = false;
  for (const auto& [file, timer] : settling_) loop_.cancel(timer);
}

Result<> Reloader::watch() {
  auto folder = FolderWatch::create(loop_, registry_.folder(), [this](const std::string& name) {
    if (is_plugin_name(name)) changed((fs::path(registry_.folder()) / name).string());
  });
  if (!folder) return std::unexpected(folder.error());
  folder_ = *std::move(folder);
  return {};
}

// The notice is a hint only: what counts is the file when it has settled.
void Reloader::changed(const std::string& file) {
  auto& timer = settling_[file];
  if (timer != 0) loop_.cancel(timer);
  timer = loop_.after(settle_, [this, alive = alive_, file] {
    if (!*alive) return;
    settling_.erase(file);
    look(file, false, [](const Result<PluginInfo>&) {});
  });
}

void Reloader::reload(std::string_view provider, Done done) {
  const auto known = registry_.info(provider);
  if (!known) return done(fail(Errc::not_found, fmt::format("there is no provider '{}'", provider)));
  look(known->file, true, std::move(done));
}

void Reloader::look(const std::string& file, bool force, Done done) {
  background_.post([this, alive = alive_, &registry = registry_, &loop = loop_, file, force,
                    done = std::move(done)]() mutable {
    auto module = registry.prepare(file, force);
    loop.post([this, alive = std::move(alive), file, module = std::move(module), done = std::move(done)]() mutable {
      if (*alive) ended(file, std::move(module), std::move(done));
    });
  });
}

void Reloader::ended(const std::string& file, Result<std::optional<Module>> module, Done done) {
  auto result = outcome(file, std::move(module));
  (result ? reloads_ : failures_).increment();
  if (!result) registry_.refuse(file, result.error());
  done(std::move(result));
}

Result<PluginInfo> Reloader::outcome(const std::string& file, Result<std::optional<Module>> module) {
  if (!module) {
    std::error_code ignored;
    if (fs::exists(file, ignored)) return std::unexpected(module.error());
    return fail(Errc::not_found, "the file is gone; its last build stays at work until the host stops");
  }
  if (*module) {
    if (auto installed = registry_.install(std::move(**module)); !installed) return std::unexpected(installed.error());
  } else {
    registry_.forgive(file);
  }
  for (auto& info : registry_.list()) {
    if (info.file == file) return std::move(info);
  }
  return fail(Errc::internal, "the registry forgot " + file);
}

}  // namespace patchbay::plugin
