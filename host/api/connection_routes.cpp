#include <nlohmann/json.hpp>

#include "api/input.hpp"
#include "api/router.hpp"
#include "core/time.hpp"

namespace patchbay::api {
namespace {

using nlohmann::json;

// What was given to sign in with never comes back.
json to_json(const vault::Connection& connection) {
  return {{"id", connection.id.to_string()},
          {"provider", connection.provider},
          {"name", connection.name},
          {"auth_type", connection.auth_type},
          {"state", connection.state},
          {"created_at", to_rfc3339(connection.created)},
          {"updated_at", to_rfc3339(connection.updated)}};
}

// "auth": {"type": "token", "token": "..."}: the type, and the fields that the manifest names.
void read_auth(BodyReader& body, vault::NewConnection& wanted) {
  const auto* auth = body.object("auth");
  if (auth == nullptr) return;
  for (const auto& [name, value] : auth->items()) {
    if (!value.is_string()) {
      body.fault("/auth/" + name, "type", "auth." + name + " must be text");
    } else if (name == "type") {
      wanted.auth_type = value.get<std::string>();
    } else {
      wanted.fields.emplace(name, Secret(value.get<std::string>()));
    }
  }
  if (wanted.auth_type.empty()) body.fault("/auth/type", "required", "auth.type is missing");
}

Response create(const Request& request, const Context& context) {
  BodyReader body(request.body);
  vault::NewConnection wanted;
  wanted.provider = body.text("provider");
  wanted.name = body.text("name");
  read_auth(body, wanted);
  if (auto refused = body.refusal(request.request_id)) return *refused;
  auto made = context.services.connections.create(context.principal.user, std::move(wanted));
  if (!made) return problem(made.error(), request.request_id);
  return created("/api/v1/connections/" + made->id.to_string(), to_json(*made));
}

Response list(const Request& request, const Context& context) {
  QueryReader query(request);
  const int limit = query.limit();
  const auto after = query.id<ConnectionId>("cursor");
  if (auto refused = query.refusal()) return *refused;
  auto all = context.services.connections.list(context.principal.user);
  if (!all) return problem(all.error(), request.request_id);
  const bool more = cut_to_page(*all, after, limit);
  json data = json::array();
  for (const auto& connection : *all) data.push_back(to_json(connection));
  return json_response(200, {{"data", data}, {"next", more ? data.back()["id"] : json(nullptr)}});
}

Response show(const Request& request, const Context& context) {
  const auto id = ConnectionId::parse(request.parameters.at("id"));
  if (!id) return problem(404, "not_found", "there is no such connection", request.request_id);
  auto found = context.services.connections.find(context.principal.user, *id);
  return found ? json_response(200, to_json(*found)) : problem(found.error(), request.request_id);
}

Response remove(const Request& request, const Context& context) {
  const auto id = ConnectionId::parse(request.parameters.at("id"));
  if (!id) return problem(404, "not_found", "there is no such connection", request.request_id);
  auto done = context.services.connections.remove(context.principal.user, *id);
  return done ? no_content() : problem(done.error(), request.request_id);
}

}  // namespace

void add_connection_routes(std::vector<Route>& routes) {
  routes.push_back({"POST", "/api/v1/connections", Access::user, create});
  routes.push_back({"GET", "/api/v1/connections", Access::user, list, {"limit", "cursor"}});
  routes.push_back({"GET", "/api/v1/connections/{id}", Access::user, show});
  routes.push_back({"DELETE", "/api/v1/connections/{id}", Access::user, remove});
}

}  // namespace patchbay::api
