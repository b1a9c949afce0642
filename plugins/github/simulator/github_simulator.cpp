#include "github/simulator/github_simulator.hpp"

#include <algorithm>
#include <atomic>

#include "core/id.hpp"

namespace patchbay::simulators {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

// "Bearer x" and "token x" are the same to GitHub; empty: there is none.
std::string token_of(const Request& request) {
  const auto value = request.header("authorization");
  for (const std::string_view scheme : {"Bearer ", "bearer ", "token "}) {
    if (value.starts_with(scheme)) return std::string(value.substr(scheme.size()));
  }
  return {};
}

}  // namespace

GithubSimulator::GithubSimulator(GithubSettings settings)
    : Simulator("github", settings.common), settings_(std::move(settings)) {
  listen();
}

GithubSimulator::~GithubSimulator() {
  hookshot_.stop();  // before the server, for it holds answers of the server
  close();
}

std::vector<github::Hook> GithubSimulator::hooks() const {
  const std::scoped_lock lock(mutex_);
  return hooks_;
}

std::vector<github::Issue> GithubSimulator::issues() const {
  const std::scoped_lock lock(mutex_);
  return issues_;
}

std::optional<Response> GithubSimulator::refuse(const Request& request) {
  if (request.header("user-agent").empty()) {
    return Response{.status = 403,
                    .headers = {{"Content-Type", "text/html; charset=utf-8"}},
                    .body =
                        "Request forbidden by administrative rules. Please make sure your request has a User-Agent "
                        "header (https://docs.github.com/en/rest/overview/resources-in-the-rest-api#user-agent-"
                        "required). Check https://developer.github.com for other possible causes."};
  }
  const auto token = token_of(request);
  if (token.empty()) return json_response(401, github::error_json(401, "Requires authentication"));
  if (std::ranges::find(settings_.tokens, token) == settings_.tokens.end()) {
    return json_response(401, github::error_json(401, "Bad credentials"));
  }
  auto& window = windows_[token];
  const auto now = settings_.clock->now();
  if (now - window.began >= 1h) window = {.began = now};
  if (settings_.rate_limit > 0 && window.used >= settings_.rate_limit) {
    return json_response(403, github::error_json(403, "API rate limit exceeded for user ID 1.",
                                                 "/overview/rate-limits-for-the-rest-api"));
  }
  ++window.used;
  return std::nullopt;
}

void GithubSimulator::add_rate_headers(const std::string& token, Response& response) {
  const auto known = windows_.find(token);
  if (known == windows_.end()) return;
  const int limit = settings_.rate_limit > 0 ? settings_.rate_limit : 5000;
  const int used = std::min(known->second.used, limit);
  const auto reset = std::chrono::floor<std::chrono::seconds>(known->second.began + 1h).time_since_epoch().count();
  auto& headers = response.headers;
  headers.emplace_back("X-RateLimit-Limit", std::to_string(limit));
  headers.emplace_back("X-RateLimit-Remaining", std::to_string(settings_.rate_limit > 0 ? limit - used : limit - 1));
  headers.emplace_back("X-RateLimit-Used", std::to_string(used));
  headers.emplace_back("X-RateLimit-Reset", std::to_string(reset));
  headers.emplace_back("X-RateLimit-Resource", "core");
}

Response GithubSimulator::answer(const Request& request) {
  auto refusal = refuse(request);
  Response response = refusal ? std::move(*refusal) : route(request);
  add_rate_headers(token_of(request), response);
  response.headers.emplace_back("X-GitHub-Media-Type", "github.v3; format=json");
  response.headers.emplace_back("X-GitHub-Request-Id", Uuid::make(settings_.clock->now()).to_string());
  return response;
}

Response GithubSimulator::route(const Request& request) {
  const auto segments = path_segments(request.path);
  if (segments.size() < 4 || segments[0] != "repos") return json_response(404, github::error_json(404, "Not Found"));
  const github::Repository repository{segments[1], segments[2]};
  if (!settings_.repositories.empty() && !settings_.repositories.contains(repository.full_name())) {
    return json_response(404, github::error_json(404, "Not Found"));
  }
  if (segments[3] == "hooks") return route_hooks(request, repository, segments);
  if (segments[3] == "issues" && segments.size() == 4) return route_issues(request, repository);
  return json_response(404, github::error_json(404, "Not Found"));
}

Response GithubSimulator::failure(const Fault& fault) {
  if (fault.status == support::kHangUp) return {.status = support::kHangUp};
  if (fault.status >= 500) {
    return {.status = fault.status,
            .headers = {{"Content-Type", "text/html; charset=utf-8"}},
            .body = "<html><title>Unicorn!</title>This page is taking too long to load.</html>"};
  }
  if (fault.status == 429 || (fault.status == 403 && fault.retry_after_s > 0)) {
    const char* page = "/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits";
    return json_response(fault.status,
                         github::error_json(fault.status, "You have exceeded a secondary rate limit.", page));
  }
  return json_response(fault.status,
                       github::error_json(fault.status, "Resource not accessible by personal access token"));
}

bool GithubSimulator::control(const Request& request, HttpServer::Answer& answer) {
  if (request.path == "/_sim/deliver" && request.method == "POST") {
    deliver(request, answer);
    return true;
  }
  if (request.path != "/_sim/hooks" || request.method != "GET") return false;
  auto list = json::array();
  for (const auto& hook : hooks()) {
    auto item = github::hook_json(hook);
    item["config"]["secret"] = hook.secret;
    item["repository"] = hook.repository.full_name();
    list.push_back(std::move(item));
  }
  answer(json_response(200, {{"hooks", list}}));
  return true;
}

// The answers to one order, gathered until the last is there.
struct GithubSimulator::Deliveries {
  std::string guid;
  json results = json::array();
  std::size_t missing = 0;
  HttpServer::Answer answer;

  void add(long long hook_id, const HookReply& reply) {
    json result{{"hook_id", hook_id}, {"status", reply.status}};
    if (!reply.error.empty()) result["error"] = reply.error;
    results.push_back(std::move(result));
    if (--missing == 0) finish();
  }
  void finish() { answer(json_response(200, {{"delivery", guid}, {"deliveries", results}})); }
};

void GithubSimulator::deliver(const Request& request, HttpServer::Answer& answer) {
  const auto order = json::parse(request.body);
  const github::Repository repository{order.at("owner"), order.at("repo")};
  const std::string event = order.at("event");
  const std::string body = order.at("payload").dump();

  auto gathered = std::make_shared<Deliveries>();
  gathered->guid = order.value("delivery", Uuid::make(settings_.clock->now()).to_string());
  // From here on nothing throws: a bad order is answered by the caller.
  gathered->answer = std::move(answer);
  std::vector<HookDelivery> list;
  for (const auto& hook : hooks()) {
    const bool wanted =
        std::ranges::any_of(hook.events, [&](const auto& name) { return name == event || name == "*"; });
    if (!hook.active || !wanted || hook.repository.full_name() != repository.full_name()) continue;
    list.push_back({hook.url, hook.secret, event, gathered->guid, hook.id, repository.id(), body});
  }
  gathered->missing = list.size();  // from here on it belongs to the thread of hookshot_
  if (list.empty()) return gathered->finish();
  for (auto& delivery : list) {
    const auto id = delivery.hook_id;
    hookshot_.send(std::move(delivery), [this, gathered, id](const HookReply& reply) {
      note_delivery(id, reply.status);
      gathered->add(id, reply);
    });
  }
}

void GithubSimulator::note_delivery(long long hook_id, long status) {
  const std::scoped_lock lock(mutex_);
  const auto hook = std::ranges::find(hooks_, hook_id, &github::Hook::id);
  if (hook != hooks_.end()) hook->last_code = status;
}

}  // namespace patchbay::simulators
