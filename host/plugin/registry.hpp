#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/loop.hpp"
#include "core/time.hpp"
#include "egress/http_client.hpp"
#include "flow/catalogue.hpp"
#include "plugin/manifest.hpp"
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
};

// What became of a file in the folder.
struct PluginInfo {
  std::string id;  // empty when it was refused before it told
  std::string version;
  std::string file;
  std::string sha256;
  bool loaded = false;
  std::string failure;    // one line: why it was refused
  std::size_t tasks = 0;  // in flight
};

// All loaded providers. Reading the catalogue: any thread (it is complete after load()); calling providers: the loop's.
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

  [[nodiscard]] std::vector<PluginInfo> list() const;
  [[nodiscard]] std::vector<const Manifest*> manifests() const;
  [[nodiscard]] const Manifest* manifest(std::string_view provider) const;
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
