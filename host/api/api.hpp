#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/error.hpp"
#include "engine/choices.hpp"
#include "engine/flows.hpp"
#include "identity/identity.hpp"
#include "plugin/registry.hpp"
#include "store/database.hpp"
#include "vault/accounts.hpp"
#include "vault/authorizations.hpp"
#include "vault/connections.hpp"

namespace patchbay::api {

// What the routes work with. All outlive the Api.
struct Services {
  identity::Identity& identity;
  vault::Connections& connections;
  vault::Accounts& accounts;
  vault::Authorizations& authorizations;
  engine::Choices& choices;
  plugin::Registry& registry;
  store::Database& database;
  engine::Flows& flows;
  // Loads a provider's file anew and waits for the outcome; the build before it stays when that fails.
  std::function<Result<plugin::PluginInfo>(const std::string& provider)> reload_plugin = {};
  // Has the engine take up runs that were written here.
  std::function<void()> look_for_runs = [] {};
  // Has it drop a run that was ended here.
  std::function<void(RunId)> drop_run = [](RunId) {};
};

struct ApiSettings {
  int threads = 2;
  std::string secret;  // who does not send it is not the gateway, and gets 403
  std::size_t request_limit_bytes = (1 << 20) + (64 << 10);
};

// The REST API: Pistache on a loopback port that the system chooses, behind the gateway.
class Api {
 public:
  // Errc::invalid: no secret; unavailable: it cannot listen.
  [[nodiscard]] static Result<std::unique_ptr<Api>> start(const Services& services, const ApiSettings& settings);
  ~Api();
  [[nodiscard]] std::uint16_t port() const;
  void stop();

 private:
  struct Impl;
  explicit Api(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace patchbay::api
