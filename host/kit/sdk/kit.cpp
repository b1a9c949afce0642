// The kit as authors of providers see it: <patchbay/kit.hpp> over a Session.
#include <patchbay/kit.hpp>

#include <algorithm>

#include <fmt/format.h>

#include "core/log.hpp"
#include "kit/scenario.hpp"
#include "kit/session.hpp"
#include "plugin/status.hpp"

namespace patchbay::kit {
namespace {

using plugin::Verb;

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += (text.empty() ? "" : "\n") + line;
  return text;
}

void quiet() {
  log::Settings settings;
  settings.level = log::Level::off;
  log::configure(settings);
}

}  // namespace

struct host::impl {
  std::unique_ptr<Session> session;
  std::vector<Exchange> script;

  template <class Step>
  StepEnd run(Step step) {
    for (auto& exchange : script) session->expect(std::move(exchange));
    script.clear();
    StepEnd end = step();
    if (!end.failures.empty()) throw failure(joined(end.failures));
    return end;
  }

  std::vector<event> events_of(const plugin::Outcome& end, const std::string& body) const {
    std::vector<event> events;
    for (const auto& one : end.events) events.push_back({one.key, one.is_request_body ? body : one.data});
    return events;
  }

  outcome seen(const StepEnd& end, const std::string& trigger, const std::string& body = {}) const {
    const auto& from = end.outcome;
    outcome made;
    const bool by_host = from.error && from.status == 0;
    if (!by_host) made.status = plugin::status_name(from.error ? from.status : PBAY_OK);
    if (from.error) made.message = from.error->message;
    made.output = from.output;
    made.state = session->state_of(trigger);
    made.http_status = static_cast<unsigned>(from.http_status);
    if (from.next) made.next = std::chrono::duration_cast<std::chrono::milliseconds>(*from.next);
    made.events = events_of(from, body);
    made.refused = end.refused;
    return made;
  }

  outcome call(Verb verb, const std::string& name, const std::string& params) {
    return seen(run([&] { return session->call(verb, name, params); }), verb == Verb::reaction ? "" : name);
  }

  outcome deliver(const std::string& trigger, const std::string& body, const headers& with, bool sign) {
    plugin::WebhookRequest request{"POST", "", {}, body};
    for (auto [name, value] : with) {
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      request.headers.emplace_back(std::move(name), std::move(value));
    }
    return seen(run([&] { return session->deliver(trigger, std::move(request), sign); }), trigger, body);
  }
};

host::host(const std::string& plugin_file, const std::string& settings) : impl_(std::make_unique<impl>()) {
  quiet();
  TrialSettings made;
  made.settings_json = settings;
  auto session = Session::open(plugin_file, std::move(made));
  if (!session) throw failure(plugin_file + ": " + session.error().message);
  impl_->session = *std::move(session);
}

host::~host() = default;
host::host(host&&) noexcept = default;
host& host::operator=(host&&) noexcept = default;

host& host::expect(const std::string& method, const std::string& url, const std::string& body, const headers& with) {
  auto& exchange = impl_->script.emplace_back();
  exchange.method = method;
  exchange.url = url;
  exchange.headers = with;
  const auto parsed = nlohmann::json::parse(body, nullptr, false);
  if (!body.empty()) exchange.body = parsed.is_structured() ? parsed : nlohmann::json(body);
  return *this;
}

host& host::reply(int status, const std::string& body, const headers& with) {
  if (impl_->script.empty()) throw failure("reply() without expect()");
  impl_->script.back().reply = egress::HttpReply{status, with, body};
  return *this;
}

host& host::no_connection() {
  if (impl_->script.empty()) throw failure("no_connection() without expect()");
  impl_->script.back().reply = fail(Errc::unavailable, "no connection");
  return *this;
}

host& host::no_answer() {
  if (impl_->script.empty()) throw failure("no_answer() without expect()");
  impl_->script.back().reply = fail(Errc::timeout, "no answer in time");
  return *this;
}

outcome host::watch(const std::string& trigger, const std::string& params) { return impl_->call(Verb::watch, trigger, params); }
outcome host::poll(const std::string& trigger, const std::string& params) { return impl_->call(Verb::poll, trigger, params); }
outcome host::stop(const std::string& trigger, const std::string& params) { return impl_->call(Verb::stop, trigger, params); }
outcome host::react(const std::string& reaction, const std::string& params) { return impl_->call(Verb::reaction, reaction, params); }

outcome host::deliver(const std::string& trigger, const std::string& body, const headers& with) {
  return impl_->deliver(trigger, body, with, true);
}
outcome host::deliver_unsigned(const std::string& trigger, const std::string& body, const headers& with) {
  return impl_->deliver(trigger, body, with, false);
}

std::vector<event> host::advance(std::chrono::milliseconds by) {
  const auto end = impl_->run([&] { return impl_->session->advance(by); });
  return impl_->events_of(end.outcome, {});
}

void host::play(const std::string& plugin_file, const std::string& scenario_file) {
  quiet();
  const auto played = play_scenario(plugin_file, scenario_file);
  if (!played) throw failure(played.error().message);
  if (!played->failures.empty()) throw failure(joined(played->failures));
}

}  // namespace patchbay::kit
