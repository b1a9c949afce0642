#include <algorithm>
#include <array>
#include <random>

#include <fmt/format.h>

#include "kit/rules.hpp"
#include "plugin/schema.hpp"
#include "plugin/status.hpp"

namespace patchbay::kit::rule {
namespace {

using nlohmann::json;
using plugin::Outcome;
using plugin::Verb;

std::vector<std::string> keys_of(const Outcome& outcome) {
  std::vector<std::string> keys;
  for (const auto& event : outcome.events) keys.push_back(event.key);
  return keys;
}

// ---- statuses -----------------------------------------------------------------------------------------------------

struct Fault {
  std::string_view name;
  Result<patchbay::egress::HttpReply> reply;
  std::vector<pbay_status> allowed;  // PBAY_OK among them: success is right, too
};

std::vector<Fault> faults_for(Verb verb) {
  const egress::Headers json_type{{"content-type", "application/json"}};
  const auto with = [&](int status, egress::Headers more = {}) {
    more.insert(more.end(), json_type.begin(), json_type.end());
    return patchbay::egress::HttpReply{status, std::move(more), R"({"message":"no"})"};
  };
  std::vector<pbay_status> gone{PBAY_E_GONE, PBAY_E_ARG};
  if (verb == Verb::stop) gone.push_back(PBAY_OK);  // what is to be removed is not there
  return {
      {"401", with(401), {PBAY_E_AUTH}},
      {"403", with(403), {PBAY_E_AUTH, PBAY_E_RATE, PBAY_E_ARG}},
      {"404", with(404), gone},
      {"410", with(410), gone},
      {"429", with(429, {{"retry-after", "7"}}), {PBAY_E_RATE}},
      {"500", with(500), {PBAY_E_REMOTE}},
      {"503", with(503), {PBAY_E_REMOTE, PBAY_E_RATE}},
      {"no answer in time", fail(Errc::timeout, "no answer"), {PBAY_E_REMOTE}},
      {"no connection", fail(Errc::unavailable, "connection refused"), {PBAY_E_REMOTE}},
  };
}

void check_fault(Subject& subject, const Operation& operation, const Fault& fault, const std::string& state) {
  auto trial = subject.trial_for(operation);
  trial->client.answer = [&fault](const patchbay::egress::HttpRequest&) { return std::optional(fault.reply); };
  const auto outcome = trial->run(subject.call(*trial, operation, state));
  if (!outcome || trial->client.requests.empty()) return;  // nothing is asked for, so nothing can fail
  const auto status = outcome->error ? outcome->status : PBAY_OK;
  if (std::find(fault.allowed.begin(), fault.allowed.end(), status) == fault.allowed.end()) {
    subject.found(operation.where, fmt::format("the provider answers {}: it ends with {}, wanted is {}", fault.name,
                                               plugin::status_name(status), plugin::status_name(fault.allowed.front())));
  }
  if (fault.name == "429" && status == PBAY_E_RATE) {
    const auto wait = outcome->next.value_or(Duration{0});
    if (wait < std::chrono::seconds{7} || wait > std::chrono::seconds{60}) {
      subject.found(operation.where, "the provider says Retry-After: 7, but next_ms does not say so");
    }
  }
  for (const auto& [what, detail] : trial->violations) {
    subject.found(operation.where, fmt::format("the provider answers {}: {}: {}", fault.name, what, detail));
  }
}

// ---- schemas ------------------------------------------------------------------------------------------------------

void check_against(Subject& subject, const Operation& operation, const std::string& what, std::string_view text) {
  const auto schema = plugin::Schema::compile(operation.declared->value("output", json{{"type", "object"}}).dump());
  if (!schema) return;
  for (const auto& fault : schema->check(text)) subject.found(operation.where, fmt::format("{}: {}", what, fault));
}

// ---- fuzzing ------------------------------------------------------------------------------------------------------

class Mutator {
 public:
  std::string operator()(std::string text) {
    const auto rounds = 1 + pick(4);
    for (std::size_t i = 0; i < rounds; ++i) mutate(text);
    return text;
  }
  std::size_t pick(std::size_t below) { return below == 0 ? 0 : random_() % below; }

 private:
  void mutate(std::string& text) {
    constexpr std::array kWhole = std::to_array<std::string_view>(
        {"", "{}", "[]", "null", "0", "\"\"", "{\"id\":null}", "{\"id\":[]}", "[[[[[[[[[[]]]]]]]]]]", "\xff\xfe", "<html>", "{"});
    constexpr std::array kParts = std::to_array<std::string_view>({"null", "\"\"", "-1", "1e999", "[]", "{}", "\\u0000",
                                                                  "\xc3", "99999999999999999999", "\"", "}", ","});
    switch (pick(8)) {
      case 0:
        text = kWhole[pick(kWhole.size())];
        break;
      case 1:
        text.resize(pick(text.size() + 1));
        break;
      case 2:
        if (!text.empty()) text[pick(text.size())] = static_cast<char>(pick(256));
        break;
      case 3:
        if (!text.empty()) text.erase(pick(text.size()), 1 + pick(20));
        break;
      case 4:
        text.insert(pick(text.size() + 1), std::string(pick(5000), 'A'));
        break;
      default:
        replace_a_value(text, kParts[pick(kParts.size())]);
    }
  }
  // What stands behind a colon, up to the next comma or brace.
  void replace_a_value(std::string& text, std::string_view by) {
    const auto colon = text.find(':', pick(text.size() + 1));
    if (colon == std::string::npos) return;
    const auto end = text.find_first_of(",}]", colon);
    text.replace(colon + 1, end == std::string::npos ? end : end - colon - 1, by);
  }

  std::mt19937 random_{20261121};
};

void check_harmless(Subject& subject, const Operation& operation, const Trial& trial, const std::optional<Outcome>& outcome,
                    const std::string& sent) {
  const auto text = sent.substr(0, 120);
  if (!outcome) subject.found(operation.where, fmt::format("it does not end when it gets: {}", text));
  for (const auto& [what, detail] : trial.violations) {
    subject.found(operation.where, fmt::format("{}: {}; it got: {}", what, detail, text));
  }
}

}  // namespace

void egress(Subject& subject) {
  for (const auto& operation : subject.operations()) {
    const auto played = subject.play(operation);
    for (const auto& host : played.trial->client.denied) {
      subject.found(operation.where, fmt::format("it asks '{}', which the manifest does not list", host));
    }
  }
}

void outputs(Subject& subject) {
  for (const auto& operation : subject.operations()) {
    const auto played = subject.play(operation);
    if (!played.outcome || played.outcome->error) continue;
    if (operation.verb == Verb::reaction) check_against(subject, operation, "its output", played.outcome->output);
    for (const auto& event : played.outcome->events) {
      check_against(subject, operation, "event " + event.key,
                    event.is_request_body ? operation.example.delivery->body : event.data);
    }
  }
}

// The manifest's scheme refuses before the plugin is asked; with "custom" the plugin has to.
void verification(Subject& subject) {
  using Kind = plugin::VerificationScheme::Kind;
  for (const auto& operation : subject.operations()) {
    if (operation.verb != Verb::webhook) continue;
    const auto& scheme = subject.module().manifest->verification;
    if (scheme.kind == Kind::none) {
      subject.found(operation.where, "the scheme is \"none\": whoever knows the URL can start flows");
      continue;
    }
    auto trial = subject.trial_for(operation);
    subject.script(*trial, operation);
    const auto state = subject.watched_state(operation);
    const auto refused = [&](const plugin::Call& call) {
      if (!trial->verify(call)) return true;
      if (scheme.kind != Kind::custom) return false;
      const auto outcome = trial->run(call);
      return outcome && outcome->error && outcome->status == PBAY_E_REJECTED;
    };
    const auto good = subject.call(*trial, operation, state);
    if (scheme.kind != Kind::custom && !trial->verify(good)) {
      subject.found(operation.where, "a request that is signed as the manifest says is refused");
      continue;
    }
    const auto with = [&](auto change) {
      auto call = good;
      auto request = *good.request;
      change(request);
      call.request = std::make_shared<plugin::WebhookRequest>(std::move(request));
      if (auto document = JsonDocument::parse(call.request->body)) call.body = *std::move(document);
      return call;
    };
    const auto unsigned_call = with([&](auto& request) {
      std::erase_if(request.headers, [&](const auto& header) {
        return header.first == scheme.header || header.first.find("sig") != std::string::npos;
      });
    });
    if (!refused(unsigned_call)) subject.found(operation.where, "an unsigned request is taken");
    const auto forged = with([&](auto& request) {
      for (auto& [name, value] : request.headers) {
        if (name != scheme.header && name.find("sig") == std::string::npos) continue;
        for (auto& c : value) c = c == '0' ? '1' : c >= '1' && c <= '9' ? '0' : c;
      }
    });
    if (!refused(forged)) subject.found(operation.where, "a request with a forged signature is taken");
    const auto tampered = with([](auto& request) { request.body.insert(request.body.size() / 2, " "); });
    if (!refused(tampered)) subject.found(operation.where, "a request whose body was changed is taken");
    if (!scheme.max_age) continue;
    trial->time.step_until(trial->time.now() + *scheme.max_age + std::chrono::seconds{2});
    if (trial->verify(good)) subject.found(operation.where, "a request that is too old is taken");
  }
}

void keys(Subject& subject) {
  for (const auto& operation : subject.operations()) {
    if (operation.verb != Verb::webhook) continue;
    auto trial = subject.trial_for(operation);
    subject.script(*trial, operation);
    const auto state = subject.watched_state(operation);
    const auto first = trial->run(subject.call(*trial, operation, state));
    trial->time.step_until(trial->time.now() + std::chrono::seconds{90});  // the provider tries again later
    auto later = subject.trial_for(operation);                            // and the host was restarted meanwhile
    subject.script(*later, operation);
    later->time.step_until(trial->time.now());
    const auto second = later->run(subject.call(*later, operation, state));
    if (!first || !second) continue;
    if (keys_of(*first) != keys_of(*second)) {
      subject.found(operation.where, fmt::format("the same delivery made the keys [{}] and then [{}]", fmt::join(keys_of(*first), ", "),
                                                 fmt::join(keys_of(*second), ", ")));
    }
  }
}

// A poll that is run again with the same state must make the same events; with the state that it left, and a provider
// that has nothing new, none of them.
void cursor(Subject& subject) {
  for (const auto& operation : subject.operations()) {
    if (operation.verb != Verb::poll) continue;
    std::string state;
    Timestamp now{};
    for (int round = 0; round < 6; ++round) {
      const auto poll = [&] {
        auto trial = subject.trial_for(operation);
        subject.script(*trial, operation);
        if (now != Timestamp{}) trial->time.step_until(now);
        now = trial->time.now();
        return trial->run(subject.call(*trial, operation, state));
      };
      const auto first = poll();
      const auto again = poll();
      if (!first || !again || first->error || again->error) break;
      if (keys_of(*first) != keys_of(*again)) {
        subject.found(operation.where, fmt::format("poll {} made the keys [{}]; run again with the same state, [{}]", round + 1,
                                                   fmt::join(keys_of(*first), ", "), fmt::join(keys_of(*again), ", ")));
        break;
      }
      const auto seen = keys_of(*first);
      state = first->state.value_or(state);
      const auto next = poll();
      if (!next || next->error) break;
      for (const auto& key : keys_of(*next)) {
        if (std::find(seen.begin(), seen.end(), key) == seen.end()) continue;
        subject.found(operation.where, fmt::format("the event '{}' comes again although its state was kept", key));
      }
      state = next->state.value_or(state);
      now += next->next.value_or(std::chrono::minutes{5});
    }
  }
}

void statuses(Subject& subject) {
  for (const auto& operation : subject.operations()) {
    if (operation.verb == Verb::webhook) continue;
    const auto state = operation.verb == Verb::stop ? subject.watched_state(operation) : std::string();
    for (const auto& fault : faults_for(operation.verb)) check_fault(subject, operation, fault, state);
  }
}

void idempotent(Subject& subject) {
  for (const auto& operation : subject.operations()) {
    if (operation.verb != Verb::reaction || !operation.declared->value("idempotent", false)) continue;
    const auto asked = [&](std::string key) {
      auto trial = subject.trial_for(operation);
      subject.script(*trial, operation);
      auto call = subject.call(*trial, operation);
      call.key = std::move(key);
      trial->run(std::move(call));
      return trial->client.requests;
    };
    const auto one = asked("01890000-0000-7000-8000-000000000001:a");
    const auto two = asked("01890000-0000-7000-8000-000000000002:b");
    const bool by_itself = std::all_of(one.begin(), one.end(), [](const auto& request) {
      return request.method == "GET" || request.method == "HEAD" || request.method == "PUT" || request.method == "DELETE";
    });
    const bool same = std::equal(one.begin(), one.end(), two.begin(), two.end(), [](const auto& a, const auto& b) {
      return a.method == b.method && a.url == b.url && a.body == b.body && a.headers == b.headers;
    });
    if (!one.empty() && !by_itself && same) {
      subject.found(operation.where, "it says that it may be repeated, but two keys make the same requests: the provider cannot tell "
                                     "a repetition from another one");
    }
  }
}

void secrets(Subject& subject) {
  constexpr std::string_view kReference = "pbay-secret-";
  for (const auto& operation : subject.operations()) {
    const auto played = subject.play(operation);
    const auto look = [&](std::string_view place, std::string_view text) {
      if (text.find(kReference) != std::string_view::npos) subject.found(operation.where, fmt::format("a secret reference stands in {}", place));
    };
    for (const auto& line : played.trial->log) look("the log", line);
    for (const auto& request : played.trial->client.requests) {
      look("a request without PBAY_EXPAND", request.url + request.body);
    }
    if (!played.outcome) continue;
    look("its state", played.outcome->state.value_or(""));
    look("its output", played.outcome->output);
    if (played.outcome->error) look("its message", played.outcome->error->message);
    for (const auto& event : played.outcome->events) look("an event", event.key + event.data);
  }
}

void fuzz(Subject& subject) {
  constexpr int kRounds = 200;
  Mutator mutate;
  for (const auto& operation : subject.operations()) {
    const auto before = subject.count();
    for (int round = 0; round < kRounds && subject.count() == before; ++round) {
      auto trial = subject.trial_for(operation);
      std::string sent;
      if (operation.verb == Verb::webhook) {
        auto fuzzed = operation;
        fuzzed.example.delivery->body = sent = mutate(operation.example.delivery->body);
        check_harmless(subject, operation, *trial, trial->run(subject.call(*trial, fuzzed)), sent);
        continue;
      }
      const auto& replies = operation.example.replies;
      trial->client.answer = [&](const patchbay::egress::HttpRequest&) {
        const auto status = std::array{200, 200, 201, 204, 301, 400, 422, 500}[mutate.pick(8)];
        sent = mutate(replies.empty() ? std::string(R"({"id":1,"items":[{"id":"a"}]})") : replies[mutate.pick(replies.size())].body);
        return std::optional(Result<patchbay::egress::HttpReply>(patchbay::egress::HttpReply{status, {}, sent}));
      };
      const auto outcome = trial->run(subject.call(*trial, operation));
      if (trial->client.requests.empty()) break;  // nothing comes from outside
      check_harmless(subject, operation, *trial, outcome, sent);
    }
  }
}

}  // namespace patchbay::kit::rule
