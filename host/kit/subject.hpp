#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "kit/check.hpp"
#include "kit/samples.hpp"
#include "kit/trial.hpp"

namespace patchbay::kit {

// A trigger's or reaction's part that can be called, with one of its examples.
struct Operation {
  plugin::Verb verb = plugin::Verb::reaction;
  const nlohmann::json* declared = nullptr;  // in the manifest
  std::string id;
  Example example;
  std::string where;  // "reaction create_issue", "watch of trigger issues"
};

// The plugin that a rule looks at, and what the rule finds.
class Subject {
 public:
  struct Ended {};  // thrown when there is nothing more to try

  explicit Subject(std::string file) : file_(std::move(file)) {}

  [[nodiscard]] const std::string& file() const { return file_; }
  void found(std::string where, std::string what);
  [[nodiscard]] std::size_t count() const { return findings_.size(); }
  [[nodiscard]] std::vector<Finding> take_findings() { return std::move(findings_); }

  // Loaded at the first use; throws Ended with a finding when that fails.
  const plugin::Module& module();
  const nlohmann::json& manifest();
  // A new instance; throws Ended with a finding when create() fails.
  std::unique_ptr<Trial> trial();
  // The same; hosts that stand in the example's parameters may be reached, too.
  std::unique_ptr<Trial> trial_for(const Operation& operation);
  // Every verb of every trigger and reaction, with each example; stop comes after watch.
  std::vector<Operation> operations();

  // The call of an operation in a trial. state: what the watch has committed.
  plugin::Call call(const Trial& trial, const Operation& operation, std::string state = {});
  // Lets the trial's provider answer as the example says, then with made-up answers.
  void script(Trial& trial, const Operation& operation);
  // Runs it in a new instance, as its example says.
  struct Played {
    std::unique_ptr<Trial> trial;
    std::optional<plugin::Outcome> outcome;
  };
  Played play(const Operation& operation);
  // The state that watch() leaves for this trigger; "" when it fails.
  std::string watched_state(const Operation& operation);

 private:
  std::string file_;
  std::optional<plugin::Module> module_;
  nlohmann::json manifest_;
  std::vector<Finding> findings_;
};

}  // namespace patchbay::kit
