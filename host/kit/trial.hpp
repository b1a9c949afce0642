#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kit/scripted_client.hpp"
#include "kit/virtual_time.hpp"
#include "plugin/instance.hpp"
#include "plugin/module.hpp"

namespace patchbay::kit {

// A shared object that is held open for trials; its private copy is gone when it is loaded.
[[nodiscard]] Result<plugin::Module> open_plugin(const std::string& file);

// The secret of every trial's hook: what kSecretMark stands for.
[[nodiscard]] std::string_view trial_secret();

struct Violation {
  std::string rule;
  std::string detail;
};

struct TrialSettings {
  std::string settings_json = "{}";
  std::string base_url = {};                    // instead of the manifest's; its host becomes allowed
  std::vector<std::string> allowed_hosts = {};  // more than the manifest's
  bool with_connection = true;                  // the calls have an account
};

// One instance of a plugin in a world that is all script: time, network, verification. The instance is the host's own,
// so what is a violation here is one there. One thread only.
class Trial {
 public:
  // Errc::invalid: create() failed; the lines that it logged stand in the message.
  [[nodiscard]] static Result<std::unique_ptr<Trial>> create(const plugin::Module& module, TrialSettings settings = {});
  ~Trial();

  // What the engine would hand over. Webhook calls are made of `request`, signed when sign is set.
  [[nodiscard]] plugin::Call call(plugin::Verb verb, const std::string& name, const std::string& params) const;
  [[nodiscard]] plugin::Call delivery(const std::string& name, const std::string& params, plugin::WebhookRequest request,
                                      bool sign = true) const;
  // The manifest's scheme on the request of a call; what it refuses never reaches the plugin.
  [[nodiscard]] Result<> verify(const plugin::Call& call) const;

  // Runs a task to its end, moving the time as far as it waits, at most to its deadline. nullopt: it did not end, which
  // a violation explains.
  std::optional<plugin::Outcome> run(plugin::Call call);
  // Begins a task and runs what is ready. The outcome is set once the task has ended.
  plugin::Provider::TaskId begin(plugin::Call call, std::shared_ptr<std::optional<plugin::Outcome>> outcome);
  void cancel(plugin::Provider::TaskId task);
  void settle() { time.run_ready(); }

  [[nodiscard]] const plugin::Manifest& manifest() const { return *module_.manifest; }
  // The CPU time of the longest call so far.
  [[nodiscard]] std::chrono::milliseconds longest_call() const { return longest_; }

  VirtualTime time;
  ScriptedClient client{time};
  std::vector<Violation> violations;
  std::vector<std::string> log;

 private:
  Trial(const plugin::Module& module, TrialSettings settings);

  const plugin::Module& module_;
  TrialSettings settings_;
  Secret secret_;
  std::unique_ptr<plugin::Instance> instance_;
  std::chrono::milliseconds longest_{0};
};

}  // namespace patchbay::kit
