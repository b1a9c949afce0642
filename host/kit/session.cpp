#include "kit/session.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "plugin/schema.hpp"

namespace patchbay::kit {
namespace {

using nlohmann::json;
using plugin::Verb;

constexpr Duration kPollAgain = std::chrono::minutes{5};

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return std::tolower(x) == std::tolower(y); });
}

bool same_body(const json& wanted, const std::string& got) {
  if (wanted.is_null()) return true;
  if (wanted.is_string()) return wanted.get<std::string>() == got;
  const auto parsed = json::parse(got, nullptr, false);
  return !parsed.is_discarded() && parsed == wanted;
}

// What differs, or empty.
std::string difference(const Exchange& wanted, const egress::HttpRequest& got) {
  if (wanted.any) return {};
  if (!wanted.method.empty() && wanted.method != got.method) return "the method";
  if (!wanted.url.empty() && wanted.url != got.url) return "the URL";
  if (!same_body(wanted.body, got.body)) return "the body";
  for (const auto& [name, value] : wanted.headers) {
    const bool there = std::any_of(got.headers.begin(), got.headers.end(),
                                   [&](const auto& header) { return same_name(header.first, name) && header.second == value; });
    if (!there) return "the header " + name;
  }
  return {};
}

std::string shown(std::string_view method, std::string_view url, std::string_view body) {
  return fmt::format("{} {}{}{}", method.empty() ? "any method," : method, url.empty() ? "any URL" : url, body.empty() ? "" : " ", body);
}

}  // namespace

Result<std::unique_ptr<Session>> Session::open(const std::string& file, TrialSettings settings) {
  auto module = open_plugin(file);
  if (!module) return std::unexpected(module.error());
  std::unique_ptr<Session> session(new Session(*std::move(module)));
  auto trial = Trial::create(session->module_, std::move(settings));
  if (!trial) return std::unexpected(trial.error());
  session->trial_ = *std::move(trial);
  session->trial_->client.answer = [raw = session.get()](const egress::HttpRequest& request) { return raw->answer(request); };
  return session;
}

std::optional<Result<egress::HttpReply>> Session::answer(const egress::HttpRequest& request) {
  if (live_) {
    auto& made = recorded_.emplace_back();
    made.method = request.method;
    made.url = request.url;
    const auto parsed = json::parse(request.body, nullptr, false);
    if (!request.body.empty()) made.body = parsed.is_structured() ? parsed : json(request.body);
    made.reply = live_(request);
    return made.reply;
  }
  const auto got = shown(request.method, request.url, request.body);
  if (script_.empty()) {
    failures_.push_back("it made a request that is not expected: " + got);
    return Result<egress::HttpReply>(fail(Errc::unavailable, "the script has no answer to this"));
  }
  const auto wanted = std::move(script_.front());
  script_.pop_front();
  if (const auto what = difference(wanted, request); !what.empty()) {
    const auto body = wanted.body.is_null() ? std::string() : wanted.body.is_string() ? wanted.body.get<std::string>() : wanted.body.dump();
    failures_.push_back(fmt::format("{} of a request is not as expected\n  expected  {}\n  got       {}", what,
                                    shown(wanted.method, wanted.url, body), got));
  }
  return wanted.reply;
}

StepEnd Session::run(plugin::Call call) {
  StepEnd end;
  const auto* operation = call.verb == Verb::reaction ? manifest().reaction(call.name) : manifest().trigger(call.name);
  if (operation == nullptr) {
    end.outcome.error = Error{Errc::not_found, "the manifest has no " + call.name};
    end.failures.push_back(end.outcome.error->message);
    return end;
  }
  if (const auto schema = plugin::Schema::compile(operation->params.empty() ? "{}" : operation->params)) {
    for (const auto& fault : schema->check(call.params)) end.failures.push_back("the manifest does not take these params: " + fault);
  }
  auto outcome = trial_->run(std::move(call));
  if (outcome) end.outcome = *std::move(outcome);
  else end.failures.emplace_back("it did not end");
  return end;
}

void Session::finish(StepEnd& end) {
  end.failures.insert(end.failures.end(), failures_.begin(), failures_.end());
  failures_.clear();
  for (const auto& [rule, detail] : trial_->violations) end.failures.push_back(fmt::format("it breaks the rule '{}': {}", rule, detail));
  trial_->violations.clear();
  for (const auto& host : trial_->client.denied) end.failures.push_back(fmt::format("it asks the host '{}', which the manifest does not list", host));
  trial_->client.denied.clear();
  for (const auto& left : script_) end.failures.push_back("it did not make the request: " + shown(left.method, left.url, ""));
  script_.clear();
}

// As the engine does: the state of what succeeded, and when to come again.
void Session::keep(const std::string& trigger, Verb verb, const plugin::Outcome& outcome) {
  auto& watch = watches_[trigger];
  if (!outcome.error && outcome.state) watch.state = *outcome.state;
  if (verb == Verb::webhook) return;
  watch.verb = verb;
  watch.due = std::nullopt;
  if (verb == Verb::stop) return void(watches_.erase(trigger));
  const auto* declared = manifest().trigger(trigger);
  const auto again = declared != nullptr && declared->every ? *declared->every : kPollAgain;
  if (outcome.next) watch.due = trial_->time.now() + *outcome.next;
  else if (verb == Verb::poll) watch.due = trial_->time.now() + again;
}

StepEnd Session::call(Verb verb, const std::string& name, const std::string& params) {
  auto made = trial_->call(verb, name, params);
  if (verb != Verb::reaction) {
    watches_[name].params = params;
    made.state = watches_[name].state;
  }
  auto end = run(std::move(made));
  if (verb != Verb::reaction) keep(name, verb, end.outcome);
  finish(end);
  return end;
}

StepEnd Session::deliver(const std::string& name, plugin::WebhookRequest request, bool sign) {
  auto made = trial_->delivery(name, watches_[name].params, std::move(request), sign);
  made.state = watches_[name].state;
  StepEnd end;
  if (const auto verified = trial_->verify(made); !verified) {
    end.refused = true;
    end.outcome.error = verified.error();
  } else {
    end = run(std::move(made));
    end.refused = end.outcome.status == PBAY_E_REJECTED;
    keep(name, Verb::webhook, end.outcome);
  }
  finish(end);
  return end;
}

StepEnd Session::advance(Duration by) {
  constexpr int kMostCalls = 10'000;
  const auto until = trial_->time.now() + by;
  StepEnd end;
  for (int calls = 0; calls < kMostCalls; ++calls) {
    const auto next = std::min_element(watches_.begin(), watches_.end(), [](const auto& a, const auto& b) {
      return a.second.due.value_or(Timestamp::max()) < b.second.due.value_or(Timestamp::max());
    });
    if (next == watches_.end() || !next->second.due || *next->second.due > until) break;
    while (trial_->time.step_until(std::max(*next->second.due, trial_->time.now()))) {
    }
    const auto name = next->first;
    auto made = trial_->call(next->second.verb, name, next->second.params);
    made.state = next->second.state;
    const auto verb = next->second.verb;
    auto one = run(std::move(made));
    keep(name, verb, one.outcome);
    end.failures.insert(end.failures.end(), one.failures.begin(), one.failures.end());
    for (auto& event : one.outcome.events) end.outcome.events.push_back(std::move(event));
    if (one.outcome.error) end.outcome.error = one.outcome.error, end.outcome.status = one.outcome.status;
  }
  while (trial_->time.step_until(until)) {
  }
  finish(end);
  return end;
}

std::string Session::state_of(const std::string& trigger) const {
  const auto found = watches_.find(trigger);
  return found == watches_.end() ? std::string() : found->second.state;
}

}  // namespace patchbay::kit
