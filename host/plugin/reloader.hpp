#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/executor.hpp"
#include "core/loop.hpp"
#include "core/metrics.hpp"
#include "plugin/folder_watch.hpp"
#include "plugin/registry.hpp"

namespace patchbay::plugin {

// Puts changed plugin files to work: when it is asked to, and, once it watches, when the folder says so. One file at a
// time is tried, on the background executor, so the loop never waits for a probe. On the loop's thread only.
class Reloader {
 public:
  using Done = std::move_only_function<void(Result<PluginInfo>)>;

  // The references outlive it. settle: a file is looked at when nothing was written to it for so long.
  Reloader(Loop& loop, Executor& background, Registry& registry,
           std::chrono::milliseconds settle = std::chrono::milliseconds{200});
  ~Reloader();

  // From here on a file that is dropped, replaced or rewritten is loaded. Errc::unavailable: the system cannot watch it.
  Result<> watch();
  // Loads the provider's file anew, changed or not. Errc::not_found: no such provider.
  void reload(std::string_view provider, Done done);

 private:
  void changed(const std::string& file);
  void look(const std::string& file, bool force, Done done);
  void ended(const std::string& file, Result<std::optional<Module>> module, Done done);
  Result<PluginInfo> outcome(const std::string& file, Result<std::optional<Module>> module);

  Loop& loop_;
  Executor& background_;
  Registry& registry_;
  const std::chrono::milliseconds settle_;
  std::unique_ptr<FolderWatch> folder_;
  std::map<std::string, std::uint64_t> settling_;  // timers, by file
  metrics::Counter reloads_;
  metrics::Counter failures_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace patchbay::plugin
