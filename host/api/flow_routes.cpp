#include <charconv>

#include <nlohmann/json.hpp>

#include "api/input.hpp"
#include "api/router.hpp"
#include "core/time.hpp"

namespace patchbay::api {
namespace {

using nlohmann::json;

json to_json(const engine::FlowRecord& flow) {
  return {{"id", flow.id.to_string()},
          {"name", flow.name},
          {"state", flow.state},
          {"version", flow.version},
          {"definition", json_or_text(flow.definition)},
          {"created_at", to_rfc3339(flow.created)},
          {"updated_at", to_rfc3339(flow.updated)}};
}

Response answer_with(int status, const engine::FlowRecord& flow) {
  auto response = json_response(status, to_json(flow));
  response.headers.emplace_back("ETag", "\"" + std::to_string(flow.version) + "\"");
  if (status == 201) response.headers.emplace_back("Location", "/api/v1/flows/" + flow.id.to_string());
  return response;
}

Response refuse(const engine::Rejection& rejection, const Request& request) {
  if (rejection.problems.empty()) return problem(rejection.error, request.request_id);
  std::vector<Fault> faults;
  for (const auto& found : rejection.problems) faults.push_back({found.pointer, found.code, found.message});
  return problem(400, "invalid", rejection.error.message, request.request_id, faults);
}

Response unknown(const Request& request) {
  return problem(404, "not_found", "there is no flow " + request.parameters.at("id"), request.request_id);
}

Response create(const Request& request, const Context& context) {
  auto made = context.services.flows.create(context.principal.user, request.body);
  return made ? answer_with(201, *made) : refuse(made.error(), request);
}

Response validate(const Request& request, const Context& context) {
  auto checked = context.services.flows.validate(request.body);
  return checked ? json_response(200, {{"valid", true}}) : refuse(checked.error(), request);
}

Response list(const Request& request, const Context& context) {
  QueryReader query(request);
  const int limit = query.limit();
  const auto before = query.id<FlowId>("cursor");
  if (auto refused = query.refusal()) return *refused;
  auto flows = context.services.flows.list(context.principal.user, limit + 1, before);
  if (!flows) return problem(flows.error(), request.request_id);
  json data = json::array();
  for (const auto& flow : *flows) {
    if (std::ssize(data) < limit) data.push_back(to_json(flow));
  }
  const bool more = std::ssize(*flows) > limit;
  return json_response(200, {{"next", more ? data.back()["id"] : json(nullptr)}, {"data", data}});
}

Response show(const Request& request, const Context& context) {
  const auto id = FlowId::parse(request.parameters.at("id"));
  if (!id) return unknown(request);
  auto flow = context.services.flows.find(context.principal.user, *id);
  return flow ? answer_with(200, *flow) : problem(flow.error(), request.request_id);
}

Response update(const Request& request, const Context& context) {
  const auto id = FlowId::parse(request.parameters.at("id"));
  if (!id) return unknown(request);
  std::optional<int> version;
  if (!request.if_match.empty() && request.if_match != "*") {
    int value = 0;
    const auto* end = request.if_match.data() + request.if_match.size();
    if (std::from_chars(request.if_match.data(), end, value).ptr != end) {
      return problem(412, "conflict", "If-Match is not an ETag of this flow", request.request_id);
    }
    version = value;
  }
  auto saved = context.services.flows.update(context.principal.user, *id, request.body, version);
  if (saved) return answer_with(200, *saved);
  if (version && saved.error().error.code == Errc::conflict) {
    // Of all conflicts only that of the versions is the client's condition.
    const auto present = context.services.flows.find(context.principal.user, *id);
    if (present && present->version != *version) {
      return problem(412, "conflict", saved.error().error.message, request.request_id);
    }
  }
  return refuse(saved.error(), request);
}

Response remove(const Request& request, const Context& context) {
  const auto id = FlowId::parse(request.parameters.at("id"));
  if (!id) return unknown(request);
  auto done = context.services.flows.remove(context.principal.user, *id);
  return done ? no_content() : problem(done.error(), request.request_id);
}

Response activate(const Request& request, const Context& context) {
  const auto id = FlowId::parse(request.parameters.at("id"));
  if (!id) return unknown(request);
  auto flow = context.services.flows.activate(context.principal.user, *id);
  return flow ? answer_with(200, *flow) : refuse(flow.error(), request);
}

Response deactivate(const Request& request, const Context& context) {
  const auto id = FlowId::parse(request.parameters.at("id"));
  if (!id) return unknown(request);
  auto flow = context.services.flows.deactivate(context.principal.user, *id);
  return flow ? answer_with(200, *flow) : problem(flow.error(), request.request_id);
}

}  // namespace

void add_flow_routes(std::vector<Route>& routes) {
  routes.push_back({"POST", "/api/v1/flows", Access::user, create});
  routes.push_back({"GET", "/api/v1/flows", Access::user, list, {"limit", "cursor"}});
  routes.push_back({"POST", "/api/v1/flows/validate", Access::user, validate});
  routes.push_back({"GET", "/api/v1/flows/{id}", Access::user, show});
  routes.push_back({"PUT", "/api/v1/flows/{id}", Access::user, update});
  routes.push_back({"DELETE", "/api/v1/flows/{id}", Access::user, remove});
  routes.push_back({"POST", "/api/v1/flows/{id}/activate", Access::user, activate});
  routes.push_back({"POST", "/api/v1/flows/{id}/deactivate", Access::user, deactivate});
}

}  // namespace patchbay::api
