#pragma once

#include "app/server.hpp"
#include "app/temporary_folder.hpp"
#include "core/loop.hpp"
#include "plugin/registry.hpp"

namespace patchbay::app {

// The plugins of the folder without a host around them: what they say of themselves, no tasks.
class OfflineRegistry {
 public:
  explicit OfflineRegistry(const Config& config) : registry_(loop_, system_clock(), client_, settings_of(config)) {}
  ~OfflineRegistry() { registry_.shut_down(); }

  plugin::Registry& operator*() { return registry_; }
  plugin::Registry* operator->() { return &registry_; }

 private:
  struct NoClient : egress::HttpClient {
    Handle send(egress::HttpRequest, Done) override { return 0; }
    void cancel(Handle) override {}
  };

  plugin::RegistrySettings settings_of(const Config& config) const {
    auto settings = registry_settings(config);
    settings.private_folder = folder_.path();
    return settings;
  }

  TemporaryFolder folder_;
  Loop loop_;
  NoClient client_;
  plugin::Registry registry_;
};

}  // namespace patchbay::app
