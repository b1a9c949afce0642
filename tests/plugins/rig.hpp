#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/loop.hpp"
#include "core/time.hpp"
#include "egress/curl_client.hpp"
#include "harness/scratch.hpp"
#include "plugin/registry.hpp"
#include "plugin/schema.hpp"

namespace patchbay::plugins_test {

struct RigSettings {
  std::string plugin;         // "github": loads github.so of this build and nothing else
  std::string base_url = {};  // of its simulator
  std::vector<std::string> allowed_hosts = {};
  std::string credentials = {};  // the value of Authorization for calls with a connection
};

// A shipped plugin in the real registry over the real HTTP client. The clock stands still until a test moves it. What
// the plugin is given and what it gives is checked against the schemas of its manifest.
class Rig {
 public:
  explicit Rig(RigSettings settings);
  ~Rig();

  // A call with a connection, if the rig has credentials.
  [[nodiscard]] plugin::Call call(plugin::Verb verb, const std::string& name, const std::string& params) const;
  // A webhook call whose body is parsed, as the engine makes it.
  [[nodiscard]] plugin::Call delivery(const std::string& name, const std::string& params, egress::Headers headers,
                                      const std::string& body) const;
  // Runs the loop until the task has ended.
  plugin::Outcome run(plugin::Call call);
  // The same with parameters that the schema need not accept: what templates make is only known when the flow runs.
  plugin::Outcome run_unchecked(plugin::Call call);

  [[nodiscard]] const plugin::Manifest& manifest() const { return *registry_->manifest(settings_.plugin); }

  ManualClock clock{Timestamp{std::chrono::sys_days{std::chrono::year{2026} / 11 / 21}}};

 private:
  struct Credentials;
  void check_input(const plugin::Operation& operation, const plugin::Call& call) const;
  void check_output(const plugin::Operation& operation, plugin::Verb verb, const std::string& request_body,
                    const plugin::Outcome& outcome) const;

  RigSettings settings_;
  harness::ScratchFolder folder_;
  Loop loop_;
  std::unique_ptr<Credentials> credentials_;
  std::unique_ptr<egress::HttpClient> client_;
  std::unique_ptr<plugin::Registry> registry_;
};

// Where simulators of tests note what was said, for tests/npm/openapi_check.mjs; empty unless that is being run.
[[nodiscard]] std::string record_file();

}  // namespace patchbay::plugins_test
