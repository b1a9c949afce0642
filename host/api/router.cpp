#include "api/router.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/log.hpp"

namespace patchbay::api {
namespace {

std::vector<std::string_view> segments(std::string_view path) {
  std::vector<std::string_view> all;
  while (!path.empty()) {
    path.remove_prefix(1);
    const auto slash = std::min(path.find('/'), path.size());
    all.push_back(path.substr(0, slash));
    path.remove_prefix(slash);
  }
  return all;
}

bool matches(const Route& route, const std::vector<std::string_view>& path,
             std::map<std::string, std::string>* parameters) {
  const auto pattern = segments(route.pattern);
  if (pattern.size() != path.size()) return false;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const bool variable = pattern[i].starts_with('{');
    if (!variable && pattern[i] != path[i]) return false;
    if (variable && path[i].empty()) return false;
    if (variable && parameters != nullptr) {
      parameters->insert_or_assign(std::string(pattern[i].substr(1, pattern[i].size() - 2)), std::string(path[i]));
    }
  }
  return true;
}

std::vector<Fault> unknown_parameters(const Route& route, const Request& request) {
  std::vector<Fault> faults;
  if (route.query == std::vector<std::string>{"*"}) return faults;
  for (const auto& [name, value] : request.query) {
    if (std::find(route.query.begin(), route.query.end(), name) != route.query.end()) continue;
    faults.push_back({name, "unknown", "there is no query parameter '" + name + "' here"});
  }
  return faults;
}

}  // namespace

Router::Router(const Services& services) : services_(services) {
  add_account_routes(routes_);
  add_provider_routes(routes_);
  add_connection_routes(routes_);
  add_authorization_routes(routes_);
  add_record_routes(routes_);
  add_flow_routes(routes_);
  add_run_routes(routes_);
}

Response Router::answer(Request request) const {
  auto response = answer_or_apologise(request);
  // What is somebody's own must not stay in a shared cache.
  response.headers.emplace_back("Cache-Control", "no-store");
  if (request.method == "HEAD") response.body.clear();
  return response;
}

Response Router::answer_or_apologise(Request& request) const {
  try {
    return dispatch(request);
  } catch (const std::exception& error) {
    log::error("api", "{} {}: {} (request {})", request.method, request.path, error.what(), request.request_id);
  } catch (...) {
    log::error("api", "{} {}: an unknown exception (request {})", request.method, request.path, request.request_id);
  }
  return problem(500, "internal", "something is wrong here; the log has it under the request's id", request.request_id);
}

Response Router::dispatch(Request& request) const {
  const auto path = segments(request.path);
  const auto method = request.method == "HEAD" ? "GET" : request.method;
  const Route* found = nullptr;
  std::string allowed;
  for (const auto& route : routes_) {
    if (!matches(route, path, nullptr)) continue;
    allowed += (allowed.empty() ? "" : ", ") + route.method + (route.method == "GET" ? ", HEAD" : "");
    if (route.method == method && (found == nullptr || !route.pattern.ends_with('}'))) found = &route;
  }
  if (allowed.empty()) return problem(404, "not_found", "there is no such resource", request.request_id);
  allowed += ", OPTIONS";
  if (request.method == "OPTIONS") {
    auto response = no_content();
    response.headers.emplace_back("Allow", allowed);
    return response;
  }
  if (found == nullptr) {
    auto response = problem(405, "method_not_allowed", request.method + " is not allowed here", request.request_id);
    response.headers.emplace_back("Allow", allowed);
    return response;
  }
  Context context{services_, {}};
  if (found->access != Access::open) {
    auto principal = services_.identity.authenticate(request.bearer);
    if (!principal) return problem(principal.error(), request.request_id);
    if (found->access == Access::admin && principal->role != identity::Role::admin) {
      return problem(403, "denied", "only an administrator may do this", request.request_id);
    }
    context.principal = *std::move(principal);
  }
  if (const auto faults = unknown_parameters(*found, request); !faults.empty()) {
    return problem(400, "invalid", faults[0].detail, request.request_id, faults);
  }
  matches(*found, path, &request.parameters);
  return found->handle(request, context);
}

}  // namespace patchbay::api
