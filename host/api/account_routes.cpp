#include <nlohmann/json.hpp>

#include "api/input.hpp"
#include "api/router.hpp"
#include "core/time.hpp"

namespace patchbay::api {
namespace {

using nlohmann::json;

Response register_user(const Request& request, const Context& context) {
  BodyReader body(request.body);
  const auto email = body.text("email");
  const auto password = body.secret("password");
  if (auto refused = body.refusal(request.request_id)) return *refused;
  auto user = context.services.identity.register_user(email, password);
  if (!user) return problem(user.error(), request.request_id);
  return created("/api/v1/auth/me", {{"id", user->id.to_string()},
                                     {"email", user->email},
                                     {"role", user->role == identity::Role::admin ? "admin" : "user"},
                                     {"created_at", to_rfc3339(user->created)}});
}

Response login(const Request& request, const Context& context) {
  BodyReader body(request.body);
  const auto email = body.text("email");
  const auto password = body.secret("password");
  if (auto refused = body.refusal(request.request_id)) return *refused;
  auto token = context.services.identity.login(email, password);
  if (!token) return problem(token.error(), request.request_id);
  return json_response(
      200,
      {{"access_token", token->token.reveal()}, {"token_type", "Bearer"}, {"expires_in", token->expires_in.count()}});
}

Response logout(const Request& request, const Context& context) {
  auto done = context.services.identity.logout(Secret(request.bearer));
  return done ? no_content() : problem(done.error(), request.request_id);
}

Response me(const Request&, const Context& context) {
  return json_response(200, {{"id", context.principal.user.to_string()},
                             {"email", context.principal.email},
                             {"role", context.principal.role == identity::Role::admin ? "admin" : "user"}});
}

json to_json(const identity::ApiKey& key) {
  return {{"id", key.id.to_string()},
          {"name", key.name},
          {"prefix", key.prefix},
          {"created_at", to_rfc3339(key.created)},
          {"last_used_at", key.last_used ? json(to_rfc3339(*key.last_used)) : json(nullptr)}};
}

Response create_key(const Request& request, const Context& context) {
  BodyReader body(request.body);
  const auto name = body.text("name");
  if (auto refused = body.refusal(request.request_id)) return *refused;
  auto key = context.services.identity.create_api_key(context.principal.user, name);
  if (!key) return problem(key.error(), request.request_id);
  auto shown = to_json(*key);
  shown["key"] = key->key.reveal();
  return created("/api/v1/auth/keys/" + key->id.to_string(), shown);
}

Response list_keys(const Request& request, const Context& context) {
  QueryReader query(request);
  const int limit = query.limit();
  const auto after = query.id<ApiKeyId>("cursor");
  if (auto refused = query.refusal()) return *refused;
  auto keys = context.services.identity.list_api_keys(context.principal.user);
  if (!keys) return problem(keys.error(), request.request_id);
  const bool more = cut_to_page(*keys, after, limit);
  json list = json::array();
  for (const auto& key : *keys) list.push_back(to_json(key));
  return json_response(200, {{"data", list}, {"next", more ? list.back()["id"] : json(nullptr)}});
}

Response delete_key(const Request& request, const Context& context) {
  const auto id = ApiKeyId::parse(request.parameters.at("id"));
  if (!id) return problem(404, "not_found", "there is no such key", request.request_id);
  auto done = context.services.identity.delete_api_key(context.principal.user, *id);
  return done ? no_content() : problem(done.error(), request.request_id);
}

}  // namespace

void add_account_routes(std::vector<Route>& routes) {
  routes.push_back({"POST", "/api/v1/auth/register", Access::open, register_user});
  routes.push_back({"POST", "/api/v1/auth/login", Access::open, login});
  routes.push_back({"POST", "/api/v1/auth/logout", Access::user, logout});
  routes.push_back({"GET", "/api/v1/auth/me", Access::user, me});
  routes.push_back({"POST", "/api/v1/auth/keys", Access::user, create_key});
  routes.push_back({"GET", "/api/v1/auth/keys", Access::user, list_keys, {"limit", "cursor"}});
  routes.push_back({"DELETE", "/api/v1/auth/keys/{id}", Access::user, delete_key});
}

}  // namespace patchbay::api
