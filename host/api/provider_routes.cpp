#include <nlohmann/json.hpp>

#include "api/router.hpp"

namespace patchbay::api {
namespace {

using nlohmann::json;

constexpr std::string_view kOpenApi =
#include "openapi.inc"
    ;

json to_json(const plugin::Operation& operation, bool trigger) {
  json value{{"id", operation.id},
             {"name", operation.name},
             {"description", operation.description},
             {"scopes", operation.scopes},
             {"params", json_or_text(operation.params)},
             {"output", json_or_text(operation.output)}};
  if (trigger) {
    value["mode"] = operation.mode == plugin::TriggerMode::poll     ? "poll"
                    : operation.mode == plugin::TriggerMode::socket ? "socket"
                                                                    : "webhook";
  } else {
    value["idempotent"] = operation.idempotent;
  }
  return value;
}

json summary(const plugin::Manifest& manifest) {
  json triggers = json::array();
  json reactions = json::array();
  for (const auto& operation : manifest.triggers) {
    if (!operation.hidden) triggers.push_back(operation.id);
  }
  for (const auto& operation : manifest.reactions) {
    if (!operation.hidden) reactions.push_back(operation.id);
  }
  return {{"id", manifest.id},
          {"name", manifest.name},
          {"version", manifest.version},
          {"triggers", triggers},
          {"reactions", reactions}};
}

Response list_providers(const Request&, const Context& context) {
  json list = json::array();
  for (const auto& manifest : context.services.registry.manifests()) list.push_back(summary(*manifest));
  return json_response(200, {{"data", list}, {"next", nullptr}});
}

Response show_provider(const Request& request, const Context& context) {
  const auto& id = request.parameters.at("id");
  const auto manifest = context.services.registry.manifest(id);
  if (!manifest) return problem(404, "not_found", "there is no provider '" + id + "'", request.request_id);
  auto shown = summary(*manifest);
  shown["triggers"] = json::array();
  shown["reactions"] = json::array();
  shown["auth"] = json::array();
  for (const auto& operation : manifest->triggers) {
    if (!operation.hidden) shown["triggers"].push_back(to_json(operation, true));
  }
  for (const auto& operation : manifest->reactions) {
    if (!operation.hidden) shown["reactions"].push_back(to_json(operation, false));
  }
  for (const auto& auth : manifest->auth) {
    shown["auth"].push_back({{"id", auth.id}, {"type", auth.type}, {"fields", auth.fields}});
  }
  return json_response(200, shown);
}

json to_json(const plugin::PluginInfo& info) {
  return {{"id", info.id},           {"version", info.version}, {"file", info.file},
          {"sha256", info.sha256},   {"loaded", info.loaded},   {"failure", info.failure},   {"process", info.process},
          {"tasks", info.tasks},     {"draining", info.draining}, {"mapped", info.mapped}};
}

Response list_plugins(const Request&, const Context& context) {
  json list = json::array();
  for (const auto& info : context.services.registry.list()) list.push_back(to_json(info));
  return json_response(200, {{"data", list}, {"next", nullptr}});
}

Response reload_plugin(const Request& request, const Context& context) {
  const auto info = context.services.reload_plugin(request.parameters.at("id"));
  if (info) return json_response(200, to_json(*info));
  const auto& error = info.error();
  // The request is right; what is wrong lies in the file.
  if (error.code == Errc::invalid) return problem(409, "plugin_refused", error.message, request.request_id);
  return problem(error, request.request_id);
}

Response openapi(const Request&, const Context&) {
  Response response;
  response.body = kOpenApi;
  return response;
}

}  // namespace

void add_provider_routes(std::vector<Route>& routes) {
  routes.push_back({"GET", "/api/v1/openapi.json", Access::open, openapi});
  routes.push_back({"GET", "/api/v1/providers", Access::user, list_providers});
  routes.push_back({"GET", "/api/v1/providers/{id}", Access::user, show_provider});
  routes.push_back({"GET", "/api/v1/plugins", Access::admin, list_plugins});
  routes.push_back({"POST", "/api/v1/plugins/{id}/reload", Access::admin, reload_plugin});
}

}  // namespace patchbay::api
