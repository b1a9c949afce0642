#include "kit/scenario.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "kit/session.hpp"
#include "plugin/status.hpp"

namespace patchbay::kit {
namespace {

using json = nlohmann::ordered_json;  // a file that is written again keeps its order
using plugin::Verb;

constexpr std::array<std::pair<std::string_view, Verb>, 4> kCalls{
    {{"watch", Verb::watch}, {"poll", Verb::poll}, {"stop", Verb::stop}, {"react", Verb::reaction}}};
const std::set<std::string> kStepMembers{"watch",  "poll", "stop",   "react",  "deliver", "advance", "params",
                                         "exchanges", "status", "message", "output", "state",   "events",  "next",
                                         "headers",   "body",   "query",   "method", "unsigned", "refused", "answer", "note"};
const std::set<std::string> kKeptHeaders{"content-type", "retry-after", "link", "etag", "last-modified", "location"};

nlohmann::json plain(const json& value) { return nlohmann::json::parse(value.dump()); }

egress::Headers headers_of(const json& from) {
  egress::Headers headers;
  const auto given = from.value("headers", json::object());
  for (const auto& [name, value] : given.items()) headers.emplace_back(name, value.get<std::string>());
  return headers;
}

std::string text_of(const json& body) {
  if (body.is_null()) return {};
  return body.is_string() ? body.get<std::string>() : body.dump();
}

Exchange exchange_of(const json& from) {
  Exchange made;
  const auto request = from.value("request", json::object());
  made.any = request.empty();
  made.method = request.value("method", "");
  made.url = request.value("url", "");
  made.body = plain(request.value("body", json()));
  made.headers = headers_of(request);
  const auto reply = from.value("reply", json::object());
  if (reply.contains("error")) {
    made.reply = fail(reply["error"] == "timeout" ? Errc::timeout : Errc::unavailable, reply["error"].get<std::string>());
  } else {
    made.reply = egress::HttpReply{reply.value("status", 200), headers_of(reply), text_of(reply.value("body", json()))};
  }
  return made;
}

// Compares what came out with what the step says must; what it does not say is not looked at.
class Verdict {
 public:
  Verdict(const json& step, const StepEnd& end, std::string state) : step_(step), end_(end), state_(std::move(state)) {}

  std::vector<std::string> failures() {
    failures_ = end_.failures;
    check_status();
    check_json("output", end_.outcome.output);
    check_json("state", state_);
    check_events();
    if (step_.contains("answer") && step_["answer"] != end_.outcome.http_status) {
      expected("the answer's status", step_["answer"].dump(), std::to_string(end_.outcome.http_status));
    }
    check_next();
    return std::move(failures_);
  }

 private:
  void expected(std::string_view what, std::string_view wanted, std::string_view got) {
    failures_.push_back(fmt::format("{} is not as expected\n  expected  {}\n  got       {}", what, wanted, got));
  }

  void check_status() {
    const bool refused = step_.value("refused", false);
    if (refused != end_.refused) {
      failures_.emplace_back(refused ? "the request was not refused" : "the request was refused: " + end_.outcome.error->message);
    }
    if (end_.refused) return;
    const auto wanted = step_.value("status", "PBAY_OK");
    const auto& error = end_.outcome.error;
    const auto got = std::string(plugin::status_name(error ? end_.outcome.status : PBAY_OK));
    const bool host_ended = error && end_.outcome.status == 0;
    if (wanted != got || host_ended) expected("the status", wanted, (host_ended ? "ended by the host" : got) + (error ? ": " + error->message : ""));
    if (!step_.contains("message") || !error) return;
    if (error->message.find(step_["message"].get<std::string>()) == std::string::npos) {
      expected("the message", step_["message"].get<std::string>(), error->message);
    }
  }

  void check_json(const char* member, const std::string& got) {
    if (!step_.contains(member)) return;
    const auto& wanted = step_[member];
    const auto parsed = nlohmann::json::parse(got, nullptr, false);
    const bool same = wanted.is_string() ? wanted == got : !parsed.is_discarded() && parsed == plain(wanted);
    if (!same) expected(fmt::format("the {}", member), text_of(wanted), got);
  }

  void check_events() {
    if (!step_.contains("events")) return;
    const auto& wanted = step_["events"];
    const auto& got = end_.outcome.events;
    std::vector<std::string> keys;
    for (const auto& event : got) keys.push_back(event.key);
    if (wanted.size() != got.size()) {
      return expected("the number of events", std::to_string(wanted.size()), fmt::format("{}: [{}]", got.size(), fmt::join(keys, ", ")));
    }
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (wanted[i].contains("key") && wanted[i]["key"] != got[i].key) expected("an event's key", wanted[i]["key"].get<std::string>(), got[i].key);
      if (!wanted[i].contains("data")) continue;
      const auto data = got[i].is_request_body ? text_of(step_.value("body", json())) : got[i].data;
      if (nlohmann::json::parse(data, nullptr, false) != plain(wanted[i]["data"])) expected("the data of event " + got[i].key, wanted[i]["data"].dump(), data);
    }
  }

  void check_next() {
    if (!step_.contains("next")) return;
    const auto wanted = parse_duration(step_["next"].get<std::string>());
    const auto got = end_.outcome.next;
    if (wanted == got) return;
    expected("the time until the next call", step_["next"].get<std::string>(),
             got ? fmt::format("{}ms", std::chrono::duration_cast<std::chrono::milliseconds>(*got).count()) : "none");
  }

  const json& step_;
  const StepEnd& end_;
  std::string state_;
  std::vector<std::string> failures_;
};

struct Played {
  std::string title;  // "step 2 (react greet)"
  StepEnd end;
  std::string trigger;
};

Result<Played> play_step(Session& session, const json& step, std::size_t number) {
  for (const auto& [member, value] : step.items()) {
    if (!kStepMembers.contains(member)) return fail(Errc::invalid, fmt::format("step {}: there is no member '{}'", number, member));
  }
  Played played;
  const auto params = step.value("params", json::object()).dump();
  for (const auto& [word, verb] : kCalls) {
    if (!step.contains(word)) continue;
    const auto name = step[std::string(word)].get<std::string>();
    played.title = fmt::format("step {} ({} {})", number, word, name);
    if (verb != Verb::reaction) played.trigger = name;
    played.end = session.call(verb, name, params);
    return played;
  }
  if (step.contains("deliver")) {
    played.trigger = step["deliver"].get<std::string>();
    played.title = fmt::format("step {} (deliver {})", number, played.trigger);
    plugin::WebhookRequest request{step.value("method", "POST"), step.value("query", ""), headers_of(step), text_of(step.value("body", json()))};
    for (auto& [name, value] : request.headers) std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    played.end = session.deliver(played.trigger, std::move(request), !step.value("unsigned", false));
    return played;
  }
  if (step.contains("advance")) {
    const auto by = parse_duration(step["advance"].get<std::string>());
    if (!by) return fail(Errc::invalid, fmt::format("step {}: advance is a time such as 1h", number));
    played.title = fmt::format("step {} (advance {})", number, step["advance"].get<std::string>());
    played.end = session.advance(*by);
    return played;
  }
  return fail(Errc::invalid, fmt::format("step {}: it has none of watch, poll, deliver, react, advance, stop", number));
}

Result<json> read_scenario(const std::string& file) {
  std::ifstream in(file);
  if (!in) return fail(Errc::not_found, "cannot read " + file);
  auto parsed = json::parse(in, nullptr, false);
  if (parsed.is_discarded() || !parsed.contains("steps") || !parsed["steps"].is_array()) {
    return fail(Errc::invalid, file + ": a scenario is a JSON object with steps");
  }
  return parsed;
}

Result<std::unique_ptr<Session>> open_session(const std::string& plugin_file, const json& scenario) {
  TrialSettings settings;
  settings.settings_json = scenario.value("settings", json::object()).dump();
  settings.base_url = scenario.value("base_url", "");
  settings.allowed_hosts = scenario.value("allowed_hosts", std::vector<std::string>{});
  auto session = Session::open(plugin_file, std::move(settings));
  if (!session) return fail(session.error().code, plugin_file + ": " + session.error().message);
  return session;
}

template <class Work>
Result<ScenarioResult> guarded(const std::string& file, Work work) {
  try {
    return work();
  } catch (const nlohmann::json::exception& error) {
    return fail(Errc::invalid, fmt::format("{}: {}", file, error.what()));
  }
}

// ---- recording ----------------------------------------------------------------------------------------------------

class Scrubber {
 public:
  explicit Scrubber(const std::vector<std::string>& credentials) : credentials_(credentials) {}

  std::string text(std::string value) const {
    for (const auto& credential : credentials_) {
      if (credential.empty()) continue;
      for (auto at = value.find(credential); at != std::string::npos; at = value.find(credential, at)) {
        value.replace(at, credential.size(), "{credential}");
      }
    }
    return value;
  }
  nlohmann::json value(nlohmann::json from) const {
    if (from.is_string()) return text(from.get<std::string>());
    if (from.is_array()) {
      for (auto& one : from) one = value(one);
    } else if (from.is_object()) {
      for (auto& [name, one] : from.items()) one = is_secret(name) && !one.is_structured() ? nlohmann::json("{scrubbed}") : value(one);
    }
    return from;
  }

 private:
  // The mark of our own hook secret may stay: the replayed request has it, too.
  static bool is_secret(std::string name) {
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    return std::any_of(kWords.begin(), kWords.end(), [&name](auto word) { return name.find(word) != std::string::npos; });
  }
  static constexpr auto kWords = std::to_array<std::string_view>({"token", "secret", "password", "authorization", "cookie", "api_key", "apikey", "private_key"});
  const std::vector<std::string>& credentials_;
};

json recorded(const Exchange& exchange, const Scrubber& scrub) {
  json made;
  made["request"] = {{"method", exchange.method}, {"url", scrub.text(exchange.url)}};
  if (!exchange.body.is_null()) {
    made["request"]["body"] = exchange.body.is_string() ? json(scrub.text(exchange.body.get<std::string>())) : json(exchange.body);
  }
  if (!exchange.reply) {
    made["reply"] = {{"error", exchange.reply.error().code == Errc::timeout ? "timeout" : scrub.text(exchange.reply.error().message)}};
    return made;
  }
  made["reply"] = {{"status", exchange.reply->status}};
  for (const auto& [name, value] : exchange.reply->headers) {
    if (kKeptHeaders.contains(name) || name.starts_with("x-ratelimit-")) made["reply"]["headers"][name] = scrub.text(value);
  }
  const auto body = nlohmann::json::parse(exchange.reply->body, nullptr, false);
  if (!exchange.reply->body.empty()) made["reply"]["body"] = body.is_structured() ? json(scrub.value(body)) : json(scrub.text(exchange.reply->body));
  return made;
}

void write_results(json& step, const StepEnd& end, const std::string& state, const Scrubber& scrub) {
  if (end.outcome.error) {
    step["status"] = plugin::status_name(end.outcome.status);
    return;
  }
  const auto as_json = [&](const std::string& text) {
    const auto parsed = nlohmann::json::parse(text, nullptr, false);
    return parsed.is_structured() ? json(scrub.value(parsed)) : json(scrub.text(text));
  };
  if (step.contains("react") && !end.outcome.output.empty()) step["output"] = as_json(end.outcome.output);
  if (!step.contains("react") && !step.contains("stop") && !state.empty()) step["state"] = as_json(state);
  if (step.contains("react") || step.contains("stop") || step.contains("watch")) return;
  step["events"] = json::array();
  for (const auto& event : end.outcome.events) {
    step["events"].push_back(event.is_request_body ? json{{"key", event.key}} : json{{"key", event.key}, {"data", as_json(event.data)}});
  }
}

}  // namespace

Result<ScenarioResult> play_scenario(const std::string& plugin_file, const std::string& scenario_file) {
  return guarded(scenario_file, [&]() -> Result<ScenarioResult> {
    auto scenario = read_scenario(scenario_file);
    if (!scenario) return std::unexpected(scenario.error());
    auto session = open_session(plugin_file, *scenario);
    if (!session) return std::unexpected(session.error());
    ScenarioResult result{scenario->value("name", std::filesystem::path(scenario_file).stem().string()), {}};
    const auto& steps = (*scenario)["steps"];
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const auto exchanges = steps[i].value("exchanges", json::array());
      for (const auto& exchange : exchanges) (*session)->expect(exchange_of(exchange));
      auto played = play_step(**session, steps[i], i + 1);
      if (!played) return fail(played.error().code, scenario_file + ": " + played.error().message);
      Verdict verdict(steps[i], played->end, (*session)->state_of(played->trigger));
      for (const auto& failure : verdict.failures()) result.failures.push_back(played->title + ": " + failure);
    }
    return result;
  });
}

Result<ScenarioResult> record_scenario(const std::string& plugin_file, const std::string& scenario_file, const Live& live,
                                       const std::vector<std::string>& credentials) {
  return guarded(scenario_file, [&]() -> Result<ScenarioResult> {
    auto scenario = read_scenario(scenario_file);
    if (!scenario) return std::unexpected(scenario.error());
    auto session = open_session(plugin_file, *scenario);
    if (!session) return std::unexpected(session.error());
    (*session)->answer_with(live);
    const Scrubber scrub(credentials);
    ScenarioResult result{scenario->value("name", std::filesystem::path(scenario_file).stem().string()), {}};
    auto& steps = (*scenario)["steps"];
    for (std::size_t i = 0; i < steps.size(); ++i) {
      auto played = play_step(**session, steps[i], i + 1);
      if (!played) return fail(played.error().code, scenario_file + ": " + played.error().message);
      for (const auto& failure : played->end.failures) result.failures.push_back(played->title + ": " + failure);
      steps[i]["exchanges"] = json::array();
      for (const auto& exchange : (*session)->take_recorded()) steps[i]["exchanges"].push_back(recorded(exchange, scrub));
      write_results(steps[i], played->end, (*session)->state_of(played->trigger), scrub);
    }
    std::ofstream out(scenario_file + ".new");
    out << scenario->dump(2) << "\n";
    out.close();
    std::error_code error;
    if (out) std::filesystem::rename(scenario_file + ".new", scenario_file, error);
    if (!out || error) return fail(Errc::unavailable, "cannot write " + scenario_file);
    return result;
  });
}

}  // namespace patchbay::kit
