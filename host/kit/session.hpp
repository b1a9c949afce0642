#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "kit/trial.hpp"

namespace patchbay::kit {

// One request that the plugin is expected to make, and what the provider says to it. What is null is not looked at.
struct Exchange {
  std::string method;
  std::string url;
  nlohmann::json body;               // a string: this text; anything else: the same JSON
  egress::Headers headers;           // those that must be there; names in any case
  Result<egress::HttpReply> reply = egress::HttpReply{200, {}, "{}"};
  bool any = false;                  // the request may be any
};

// What one step did.
struct StepEnd {
  plugin::Outcome outcome;
  bool refused = false;               // a delivery that the manifest's scheme did not let through
  std::vector<std::string> failures;  // of the script: requests that were not expected, or did not come; broken rules
};

// A plugin between its users and a scripted provider: watches keep their state, polls come due when the time is moved,
// deliveries are signed. What a scenario file and the C++ kit are made of. One thread only.
class Session {
 public:
  // Errc::invalid, not_found: the file cannot be loaded, or create() failed.
  [[nodiscard]] static Result<std::unique_ptr<Session>> open(const std::string& file, TrialSettings settings);

  void expect(Exchange exchange) { script_.push_back(std::move(exchange)); }
  // Instead of the script: everything is answered by this, and noted in exchanges().
  void answer_with(std::function<Result<egress::HttpReply>(const egress::HttpRequest&)> live) { live_ = std::move(live); }
  [[nodiscard]] std::vector<Exchange> take_recorded() { return std::exchange(recorded_, {}); }

  // Each runs to its end. The state of a trigger is kept when it succeeds.
  StepEnd call(plugin::Verb verb, const std::string& name, const std::string& params);
  StepEnd deliver(const std::string& name, plugin::WebhookRequest request, bool sign);
  // Moves the time; polls and renewals that come due on the way are run. Events of all of them in one outcome.
  StepEnd advance(Duration by);

  [[nodiscard]] const plugin::Manifest& manifest() const { return trial_->manifest(); }
  [[nodiscard]] std::string state_of(const std::string& trigger) const;

 private:
  struct Watch {
    std::string params = "{}";
    std::string state;
    std::optional<Timestamp> due;
    plugin::Verb verb = plugin::Verb::poll;  // what is due
  };

  Session(plugin::Module module) : module_(std::move(module)) {}
  std::optional<Result<egress::HttpReply>> answer(const egress::HttpRequest& request);
  StepEnd run(plugin::Call call);
  void keep(const std::string& trigger, plugin::Verb verb, const plugin::Outcome& outcome);
  void finish(StepEnd& end);

  plugin::Module module_;
  std::unique_ptr<Trial> trial_;
  std::map<std::string, Watch> watches_;
  std::deque<Exchange> script_;
  std::function<Result<egress::HttpReply>(const egress::HttpRequest&)> live_;
  std::vector<Exchange> recorded_;
  std::vector<std::string> failures_;
};

}  // namespace patchbay::kit
