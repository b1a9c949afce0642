#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/loop.hpp"
#include "core/time.hpp"
#include "egress/http_client.hpp"
#include "flow/catalogue.hpp"
#include "plugin/isolation/isolated.hpp"
#include "plugin/manifest.hpp"
#include "plugin/module.hpp"
#include "plugin/probe.hpp"
#include "plugin/provider.hpp"

namespace patchbay::plugin {

struct RegistrySettings {
  std::string folder;          // where the .so files are dropped
  std::string private_folder;  // where copies are loaded from: 0700, emptied at start
  Prober prober;               // tries each file first; none: load at once
  struct Override {
    std::string base_url;                    // instead of the manifest's; its host becomes allowed, too
    std::vector<std::string> allowed_hosts;  // more than the manifest's
    std::string settings_json = "{}";        // handed to create()
  };
  std::map<std::string, Override> providers;
  std::size_t tasks_per_plugin = 10'000;
  std::size_t state_limit_bytes = 64 << 10;
  std::size_t event_limit_bytes = 1 << 20;
  std::size_t events_per_task = 1000;
  std::chrono::milliseconds drain_limit{30'000};  // for the tasks of a replaced build
  Mapping mapping = Mapping::kept;                // of a replaced build, once it has drained
  Trust trust;
  // Which providers run in a process of their own; none: none does.
  std::function<bool(const std::string& id)> isolated = {};
  isolation::IsolationSettings isolation = {};
};

// What became of a file in the folder.
struct PluginInfo {
  std::string id;  // empty when it was refused before it told
  std::string version;
  std::string file;
  std::string sha256;        // of the build that is at work
  bool loaded = false;       // a build of it is at work
  std::string failure;       // one line: why the file as it is now was refused; the build before it goes on
  std::string process;       // where it runs: host, own, starting or quarantined; empty: not loaded
  std::size_t tasks = 0;     // under way
  std::size_t draining = 0;  // replaced builds that still have tasks
  std::size_t mapped = 0;    // builds whose code is in memory
};

// Who must know that a provider gets another build. Called on the loop.
class ReloadListener {
 public:
  virtual ~ReloadListener() = default;
  // An error keeps the build that is at work.
  virtual Result<> may_replace(const Manifest& now, const Manifest& next) = 0;
  // manifest() and the catalogue are the new ones; also called for a provider that was not there before.
  virtual void replaced(const std::string& provider) = 0;
};

// All loaded providers. provider() and what calls them: the loop's thread; everything that reads: any thread.
class Registry : public flow::Catalogue {
 public:
  // The references outlive it.
  Registry(Loop& loop, const Clock& clock, egress::HttpClient& client, RegistrySettings settings);
  ~Registry() override;

  // Loads every .so of the folder, in the order of their names. A file that cannot be loaded is logged in one line,
  // noted, and skipped. Errc::not_found: there is no such folder.
  Result<> load();
  // Checks one file without keeping it: what `patchbay plugin check` prints.
  [[nodiscard]] static PluginInfo check(const std::string& file, const std::string& private_folder);

  // The first half of a reload, on any thread but the loop's: copies, tries and loads the file as it is now.
  // force: also when the build at work has the same bytes; otherwise nothing comes of it then (nullopt).
  [[nodiscard]] Result<std::optional<Module>> prepare(const std::string& file, bool force) const;
  // The second half, on the loop: puts it to work beside the build before it, which drains. Either half's error is
  // noted and logged by refuse(); the build at work goes on.
  Result<> install(Module module);
  void refuse(const std::string& file, const Error& error);
  void forgive(const std::string& file);  // it is again what is at work
  void set_listener(ReloadListener* listener);  // on the loop; outlives it, or is set to nullptr

  [[nodiscard]] const std::string& folder() const;
  [[nodiscard]] std::vector<PluginInfo> list() const;
  [[nodiscard]] std::optional<PluginInfo> info(std::string_view provider) const;
  [[nodiscard]] std::vector<std::shared_ptr<const Manifest>> manifests() const;
  [[nodiscard]] std::shared_ptr<const Manifest> manifest(std::string_view provider) const;
  // Valid for as long as the registry, through all reloads. nullptr: there is none of that name.
  [[nodiscard]] Provider* provider(std::string_view provider);

  // Cancels what is in flight and destroys the instances. On the loop.
  void shut_down();

  [[nodiscard]] std::optional<flow::OperationSchema> trigger(std::string_view full_name) const override;
  [[nodiscard]] std::optional<flow::OperationSchema> reaction(std::string_view full_name) const override;
  [[nodiscard]] std::vector<std::string> trigger_names() const override;
  [[nodiscard]] std::vector<std::string> reaction_names() const override;
  [[nodiscard]] bool needs_connection(std::string_view provider) const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace patchbay::plugin
