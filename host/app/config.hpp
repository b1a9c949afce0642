#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/log.hpp"
#include "egress/curl_client.hpp"
#include "engine/engine.hpp"
#include "gateway/gateway.hpp"
#include "identity/identity.hpp"
#include "plugin/registry.hpp"
#include "vault/connections.hpp"
#include "vault/settings.hpp"

namespace patchbay::app {

// Which plugins run in a process of their own: none, those that do not come with Patchbay, all.
enum class Isolation { none, foreign, all };

// All settings of the program. Flag > environment > file > default; config/patchbay.example.toml shows every one.
struct Config {
  gateway::GatewaySettings gateway;
  std::string public_url;  // empty: http://address:port
  std::string port_file;   // the port is written there once it listens
  std::chrono::milliseconds drain_timeout{10'000};
  std::string database_url = "sqlite:var/patchbay.db";
  bool migrate_at_start = false;
  vault::VaultSettings vault;
  bool core_dumps = false;
  std::string plugin_folder = "plugins";
  std::string plugin_private_folder;  // empty: a temporary one
  bool probe_plugins = true;
  bool watch_plugins = true;
  bool unload_plugins = false;
  plugin::Trust trust;
  Isolation isolation = Isolation::foreign;
  std::map<std::string, bool> isolated_providers;  // what providers.<id>.isolation says
  std::int64_t plugin_memory_bytes = 512 << 20;
  std::string quarantine_folder = "var/quarantine";
  std::chrono::milliseconds plugin_settle{200};
  std::chrono::milliseconds plugin_drain{30'000};
  std::chrono::milliseconds plugin_hang{10'000};
  std::map<std::string, plugin::RegistrySettings::Override> providers;
  std::map<std::string, vault::ProviderAccess::Client> oauth_clients;  // by provider
  std::chrono::milliseconds authorization_lifetime{15 * 60 * 1000};
  egress::CurlSettings egress;
  identity::IdentitySettings identity;
  engine::EngineSettings engine;
  int api_threads = 2;
  log::Settings log;
};

// One setting, as `patchbay config` shows it.
struct Setting {
  std::string name;         // "server.port"
  std::string environment;  // "PATCHBAY_SERVER_PORT"
  std::string value;
  std::string help;
};

// file empty: patchbay.toml here, if there is one. overrides: "server.port" -> "8080", from flags.
// Errc::invalid: which setting is wrong, where it came from, and what it may be.
[[nodiscard]] Result<Config> load_config(const std::string& file,
                                         const std::vector<std::pair<std::string, std::string>>& overrides);
// For `serve --dev`: plugins are watched and loaded soon, and the log says more and is for people.
[[nodiscard]] Config for_development(Config config);
[[nodiscard]] std::vector<Setting> settings_of(const Config& config);

}  // namespace patchbay::app
