#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/canary.hpp"
#include "harness/http.hpp"
#include "harness/load.hpp"
#include "harness/process.hpp"
#include "harness/simulators.hpp"

namespace patchbay::harness {

struct HostSettings {
  std::filesystem::path folder;  // its database, key, configuration and log
  std::string database = {};     // URL; empty: SQLite in the folder
  std::string plugins = {};      // folder; empty: this build's
  std::string github = {};       // base URLs of the simulators; empty: not set
  std::string discord = {};
  std::string log_level = "info";
  std::string more = {};  // further TOML
};

// `patchbay serve` of this build tree, always on the same port. One thread.
class Host {
 public:
  // Writes the configuration; makes the key and the tables, unless the folder has a key. Throws when the program
  // refuses to.
  explicit Host(HostSettings settings);

  void launch();  // exec, without waiting
  void start();   // and waits until it is ready; throws with the end of its log
  void kill();    // SIGKILL
  int stop();     // SIGTERM; the exit code

  [[nodiscard]] Process& process() { return *process_; }
  [[nodiscard]] bool running() { return process_ && process_->running(); }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string url(const std::string& path = {}) const;
  [[nodiscard]] std::string log() const;
  [[nodiscard]] const HostSettings& settings() const { return settings_; }
  // The same program, offline, with the same configuration.
  Finished command(std::vector<std::string> arguments, std::vector<std::string> environment = {});

 private:
  void prepare(std::vector<std::string> arguments);

  HostSettings settings_;
  std::uint16_t port_;
  std::string configuration_;
  std::optional<Process> process_;
};

// /api/v1 of a host, as one user. Throws with status and body when an answer is none of 2xx; what a test wants to see
// refused goes through call(). One thread.
class Api {
 public:
  explicit Api(const Host& host) : base_(host.url("/api/v1")) {}

  void sign_up(const std::string& email = "rig@example.org", const std::string& password = "correct horse battery");
  Reply call(const std::string& method, const std::string& path, const nlohmann::json& body);
  Reply call(const std::string& method, const std::string& path);
  nlohmann::json get(const std::string& path);

  // The id.
  std::string connect(const std::string& provider, const std::string& name, const std::string& token);
  std::string create_flow(const nlohmann::json& definition);
  void activate(const std::string& flow);
  void deactivate(const std::string& flow);
  std::vector<nlohmann::json> runs(const std::string& query = {});  // all pages
  std::size_t count_runs(const std::string& query);
  [[nodiscard]] const std::string& token() const { return token_; }
  // What it was given or has got. No answer may hold one of them: call() throws then.
  [[nodiscard]] Canaries& canaries() { return canaries_; }

 private:
  nlohmann::json expect(const std::string& method, const std::string& path, const nlohmann::json& body);

  Http http_;
  std::string base_;
  std::string token_;
  Canaries canaries_;
};

// A flow of the test plugin "fragile" (tests/plugins/bad), whose webhooks say how it and its reaction behave. Makes and
// activates it; the path of its hook, as the plugin says it in the log. Throws when it does not.
[[nodiscard]] std::string activate_fragile(const Host& host, Api& api);

// Where the webhooks of the one hook that GitHub knows go. Throws when there is none.
[[nodiscard]] Target hook_target(const Host& host, Simulators& simulators);

}  // namespace patchbay::harness
