#include "kit/subject.hpp"

#include <fmt/format.h>

namespace patchbay::kit {
namespace {

using nlohmann::json;
using plugin::Verb;

constexpr std::size_t kMostFindings = 20;

// Hosts that stand in the parameters: a plugin that goes where its user says is not lying about its manifest.
std::vector<std::string> hosts_in(const std::string& text) {
  std::vector<std::string> hosts;
  for (auto at = text.find("://"); at != std::string::npos; at = text.find("://", at + 3)) {
    const auto end = text.find_first_of("\"' ", at);
    const auto begin = text.find_last_of("\"' ", at) + 1;  // from the start, when there is none
    hosts.push_back(host_of(text.substr(begin, end == std::string::npos ? end : end - begin)));
  }
  return hosts;
}

}  // namespace

void Subject::found(std::string where, std::string what) {
  if (findings_.size() < kMostFindings) findings_.push_back({std::move(where), std::move(what)});
}

const plugin::Module& Subject::module() {
  if (module_) return *module_;
  auto opened = open_plugin(file_);
  if (!opened) {
    found(file_, opened.error().message);
    throw Ended{};
  }
  module_ = *std::move(opened);
  manifest_ = json::parse(module_->manifest->json);
  return *module_;
}

const json& Subject::manifest() {
  module();
  return manifest_;
}

std::unique_ptr<Trial> Subject::trial() { return trial_for({}); }

std::unique_ptr<Trial> Subject::trial_for(const Operation& operation) {
  TrialSettings settings;
  settings.allowed_hosts = hosts_in(operation.example.params);
  auto made = Trial::create(module(), settings);
  if (made) return *std::move(made);
  found("create", made.error().message);
  throw Ended{};
}

std::vector<Operation> Subject::operations() {
  std::vector<Operation> all;
  const auto add = [&all](Verb verb, const json& declared, std::string_view name) {
    for (auto& example : examples_of(declared)) {
      const auto id = declared["id"].get<std::string>();
      all.push_back({verb, &declared, id, std::move(example), fmt::format("{} {}", name, id)});
    }
  };
  const auto& declared = manifest();
  if (declared.contains("triggers")) {
    for (const auto& trigger : declared["triggers"]) {
      if (trigger["mode"] == "poll") add(Verb::poll, trigger, "poll of trigger");
      if (trigger["mode"] != "webhook") continue;
      add(Verb::watch, trigger, "watch of trigger");
      add(Verb::webhook, trigger, "webhook of trigger");
      add(Verb::stop, trigger, "stop of trigger");
    }
  }
  if (declared.contains("reactions")) {
    for (const auto& reaction : declared["reactions"]) add(Verb::reaction, reaction, "reaction");
  }
  return all;
}

plugin::Call Subject::call(const Trial& trial, const Operation& operation, std::string state) {
  auto made = operation.verb == Verb::webhook
                  ? trial.delivery(operation.id, operation.example.params, *operation.example.delivery)
                  : trial.call(operation.verb, operation.id, operation.example.params);
  made.state = std::move(state);
  return made;
}

void Subject::script(Trial& trial, const Operation& operation) {
  // Replies are those of the call that matters: a reaction's, a poll's, a watch's.
  auto replies = operation.verb == Verb::stop || operation.verb == Verb::webhook ? std::vector<egress::HttpReply>()
                                                                                 : operation.example.replies;
  const auto made_up = operation.verb == Verb::reaction
                           ? sample_of(operation.declared->value("output", json{{"type", "object"}})).dump()
                           : std::string(R"({"id":1})");
  trial.client.answer = [replies, made_up, next = std::size_t{0}](const egress::HttpRequest& request) mutable {
    if (next < replies.size()) return std::optional(Result<egress::HttpReply>(replies[next++]));
    const bool list = request.method == "GET" && replies.empty();
    return std::optional(Result<egress::HttpReply>(
        egress::HttpReply{200, {{"content-type", "application/json"}}, list ? std::string("[]") : made_up}));
  };
}

Subject::Played Subject::play(const Operation& operation) {
  Played played{trial_for(operation), std::nullopt};
  const auto state = operation.verb == Verb::stop || operation.verb == Verb::webhook ? watched_state(operation) : "";
  script(*played.trial, operation);
  played.outcome = played.trial->run(call(*played.trial, operation, state));
  return played;
}

std::string Subject::watched_state(const Operation& operation) {
  auto watch = operation;
  watch.verb = Verb::watch;
  auto played = play(watch);
  if (!played.outcome || played.outcome->error) return {};
  return played.outcome->state.value_or("");
}

}  // namespace patchbay::kit
