#include <nlohmann/json.hpp>

#include "api/input.hpp"
#include "api/router.hpp"
#include "core/log.hpp"
#include "core/time.hpp"
#include "vault/records.hpp"

namespace patchbay::api {
namespace {

using nlohmann::json;

// What was given to sign in with never comes back.
json to_json(const vault::Connection& connection) {
  const auto text_or_null = [](const std::string& text) { return text.empty() ? json(nullptr) : json(text); };
  return {{"id", connection.id.to_string()},
          {"provider", connection.provider},
          {"name", connection.name},
          {"auth", connection.auth},
          {"auth_type", connection.auth_type},
          {"state", vault::name_of(connection.state)},
          {"error", text_or_null(connection.error)},
          {"account", connection.account_id.empty() ? json(nullptr) : json{{"id", connection.account_id}, {"name", connection.account_name}}},
          {"scopes", connection.scopes ? json(*connection.scopes) : json(nullptr)},
          {"expires_at", connection.expires ? json(to_rfc3339(*connection.expires)) : json(nullptr)},
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
      wanted.auth = value.get<std::string>();
    } else {
      wanted.fields.emplace(name, Secret(value.get<std::string>()));
    }
  }
  if (wanted.auth.empty()) body.fault("/auth/type", "required", "auth.type is missing");
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
  if (!found) return problem(found.error(), request.request_id);
  auto shown = to_json(*found);
  const auto changes = vault::grant_changes(context.services.database, *id);
  if (!changes) return problem(changes.error(), request.request_id);
  shown["grant_changes"] = json::array();
  for (const auto& change : *changes) {
    shown["grant_changes"].push_back({{"kind", change.kind}, {"scopes", change.scopes}, {"created_at", to_rfc3339(change.created)}});
  }
  return json_response(200, shown);
}

// {"state": "disconnected"} switches it off, {"state": "active"} on again.
Response change(const Request& request, const Context& context) {
  const auto id = ConnectionId::parse(request.parameters.at("id"));
  if (!id) return problem(404, "not_found", "there is no such connection", request.request_id);
  BodyReader body(request.body);
  const auto state = body.text("state");
  if (!state.empty() && state != "active" && state != "disconnected") body.fault("/state", "invalid", "state can be set to active or disconnected");
  if (auto refused = body.refusal(request.request_id)) return *refused;
  auto& connections = context.services.connections;
  auto changed = state == "active" ? connections.reconnect(context.principal.user, *id) : connections.disconnect(context.principal.user, *id);
  return changed ? json_response(200, to_json(*changed)) : problem(changed.error(), request.request_id);
}

Response test(const Request& request, const Context& context) {
  const auto id = ConnectionId::parse(request.parameters.at("id"));
  if (!id) return problem(404, "not_found", "there is no such connection", request.request_id);
  auto account = context.services.accounts.test(context.principal.user, *id);
  if (account) return json_response(200, {{"ok", true}, {"account", {{"id", account->id}, {"name", account->name}}}, {"error", nullptr}});
  const auto code = account.error().code;
  const bool told = code == Errc::denied || code == Errc::unavailable || code == Errc::unauthenticated || code == Errc::timeout;
  if (!told) return problem(account.error(), request.request_id);
  return json_response(200, {{"ok", false}, {"account", nullptr}, {"error", account.error().message}});
}

Response choices(const Request& request, const Context& context) {
  const auto id = ConnectionId::parse(request.parameters.at("id"));
  if (!id) return problem(404, "not_found", "there is no such connection", request.request_id);
  auto connection = context.services.connections.find(context.principal.user, *id);
  if (!connection) return problem(connection.error(), request.request_id);
  QueryReader query(request);
  engine::ChoiceQuery wanted{.connection = *id, .provider = connection->provider, .operation = query.text("operation").value_or(""),
                             .param = query.text("param").value_or(""), .search = query.text("search").value_or(""),
                             .cursor = query.text("cursor").value_or(""), .given = query.text("params").value_or("{}")};
  if (auto refused = query.refusal()) return *refused;
  auto page = context.services.choices.find(wanted);
  if (!page) return problem(page.error(), request.request_id);
  Response response;
  response.body = *std::move(page);
  return response;
}

Response remove(const Request& request, const Context& context) {
  const auto id = ConnectionId::parse(request.parameters.at("id"));
  if (!id) return problem(404, "not_found", "there is no such connection", request.request_id);
  QueryReader query(request);
  const auto deactivates = query.word("deactivate_flows", {"true", "false"}) == "true";
  if (auto refused = query.refusal()) return *refused;
  const auto user = context.principal.user;
  const auto& services = context.services;
  if (auto found = services.connections.find(user, *id); !found) return problem(found.error(), request.request_id);
  const auto flows = vault::flows_listening_with(services.database, user, *id);
  if (!flows) return problem(flows.error(), request.request_id);
  if (!flows->empty() && !deactivates) {
    return problem(409, "conflict", "an active flow uses the connection: deactivate it first, or say ?deactivate_flows=true", request.request_id);
  }
  for (const auto flow : *flows) {  // its subscriptions end while the credentials are still good
    if (auto stopped = services.flows.deactivate(user, flow); !stopped) return problem(stopped.error(), request.request_id);
  }
  if (auto revoked = services.accounts.revoke(*id); !revoked) {
    log::warn("api", "connection {}: the provider has not revoked its tokens: {}", id->to_string(), revoked.error().message);
  }
  auto done = services.connections.remove(user, *id);
  return done ? no_content() : problem(done.error(), request.request_id);
}

}  // namespace

void add_connection_routes(std::vector<Route>& routes) {
  routes.push_back({"POST", "/api/v1/connections", Access::user, create});
  routes.push_back({"GET", "/api/v1/connections", Access::user, list, {"limit", "cursor"}});
  routes.push_back({"GET", "/api/v1/connections/{id}", Access::user, show});
  routes.push_back({"PATCH", "/api/v1/connections/{id}", Access::user, change});
  routes.push_back({"DELETE", "/api/v1/connections/{id}", Access::user, remove, {"deactivate_flows"}});
  routes.push_back({"POST", "/api/v1/connections/{id}/test", Access::user, test});
  routes.push_back({"GET", "/api/v1/connections/{id}/choices", Access::user, choices, {"operation", "param", "search", "cursor", "params"}});
}

}  // namespace patchbay::api
