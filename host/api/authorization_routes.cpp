// Signing in at providers: the way there, the way back, and how it stands.
#include <nlohmann/json.hpp>

#include "api/input.hpp"
#include "api/router.hpp"
#include "core/time.hpp"

namespace patchbay::api {
namespace {

using nlohmann::json;

json to_json(const vault::Authorization& authorization) {
  json shown{{"id", authorization.id.to_string()},
             {"status", authorization.status},
             {"connection", authorization.connection.is_nil() ? json(nullptr) : json(authorization.connection.to_string())},
             {"error", authorization.error.empty() ? json(nullptr) : json(authorization.error)},
             {"expires_at", to_rfc3339(authorization.expires)}};
  if (!authorization.url.empty()) shown["url"] = authorization.url;
  if (authorization.user_code.empty()) return shown;
  shown["user_code"] = authorization.user_code;
  shown["verification_uri"] = authorization.verification_uri;
  if (!authorization.verification_uri_complete.empty()) shown["verification_uri_complete"] = authorization.verification_uri_complete;
  shown["interval"] = authorization.interval.count();
  return shown;
}

Response authorize(const Request& request, const Context& context) {
  BodyReader body(request.body);
  vault::AuthorizationWish wish;
  const auto connection = body.optional_text("connection");
  wish.provider = connection ? body.optional_text("provider").value_or("") : body.text("provider");
  wish.auth = body.optional_text("auth").value_or("");
  wish.name = body.optional_text("name").value_or("");
  const auto grant = body.optional_text("grant").value_or("authorization_code");
  if (const auto scopes = body.optional_texts("scopes")) wish.scopes = *scopes;
  if (connection) {
    const auto id = ConnectionId::parse(*connection);
    if (!id) body.fault("/connection", "invalid", "'" + *connection + "' is not an id");
    wish.connection = id.value_or(ConnectionId{});
  }
  const auto parsed = plugin::parse_grant(grant);
  if (!parsed) body.fault("/grant", "invalid", "grant must be authorization_code, device_code or client_credentials");
  if (auto refused = body.refusal(request.request_id)) return *refused;
  wish.grant = *parsed;
  auto begun = context.services.authorizations.begin(context.principal.user, wish);
  if (!begun) return problem(begun.error(), request.request_id);
  return created("/api/v1/authorizations/" + begun->id.to_string(), to_json(*begun));
}

Response show(const Request& request, const Context& context) {
  const auto id = vault::AuthorizationId::parse(request.parameters.at("id"));
  if (!id) return problem(404, "not_found", "there is no such authorization", request.request_id);
  auto found = context.services.authorizations.find(context.principal.user, *id);
  return found ? json_response(200, to_json(*found)) : problem(found.error(), request.request_id);
}

std::string html_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '&') out += "&amp;";
    else if (c == '"') out += "&quot;";
    else out += c;
  }
  return out;
}

// For the person whom the provider sent back.
Response page(int status, const std::string& title, const std::string& text) {
  Response response;
  response.status = status;
  response.content_type = "text/html; charset=utf-8";
  response.body = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>" + html_text(title) + "</title><h1>" + html_text(title) +
                  "</h1><p>" + html_text(text) + "</p></html>\n";
  // The address has the code in it: it goes nowhere else.
  response.headers = {{"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"}, {"Referrer-Policy", "no-referrer"},
                      {"X-Content-Type-Options", "nosniff"}};
  return response;
}

Response come_back(const Request& request, const Context& context) {
  const auto given = [&](const char* name) {
    const auto found = request.query.find(name);
    return found == request.query.end() ? std::string() : found->second;
  };
  if (given("state").empty()) return page(400, "Not connected", "The address lacks its state: begin the sign-in again.");
  auto error = given("error");
  if (!error.empty() && !given("error_description").empty()) error += ": " + given("error_description");
  const auto connected = context.services.authorizations.come_back(given("state"), given("code"), error);
  if (!connected) return page(connected.error().code == Errc::denied ? 403 : 400, "Not connected", connected.error().message);
  const auto account = connected->account_name.empty() ? connected->name : connected->account_name;
  return page(200, "Connected", connected->provider + " account " + account + " is connected. You can close this window.");
}

}  // namespace

void add_authorization_routes(std::vector<Route>& routes) {
  routes.push_back({"POST", "/api/v1/connections/authorize", Access::user, authorize});
  routes.push_back({"GET", "/api/v1/authorizations/{id}", Access::user, show});
  routes.push_back({"GET", "/oauth2/callback", Access::open, come_back, {"*"}});
}

}  // namespace patchbay::api
