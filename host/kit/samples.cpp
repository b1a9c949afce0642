#include "kit/samples.hpp"

namespace patchbay::kit {
namespace {

using nlohmann::json;

std::string type_of(const json& schema) {
  if (!schema.contains("type")) return schema.contains("properties") ? "object" : "any";
  const auto& type = schema["type"];
  if (type.is_string()) return type;
  for (const auto& one : type) {
    if (one != "null") return one;
  }
  return "null";
}

std::string sample_text(const json& schema) {
  const auto format = schema.value("format", "");
  if (format == "date-time") return "2026-01-15T12:00:00Z";
  if (format == "uri") return "https://example.com/";
  if (format == "email") return "somebody@example.com";
  return std::string(std::max<std::size_t>(schema.value("minLength", std::size_t{1}), 1), 'x');
}

json sample_object(const json& schema) {
  json object = json::object();
  auto required = schema.value("required", json::array());
  if (schema.contains("anyOf") && schema["anyOf"].is_array() && !schema["anyOf"].empty()) {
    for (const auto& name : schema["anyOf"][0].value("required", json::array())) required.push_back(name);
  }
  const auto properties = schema.value("properties", json::object());
  for (const auto& name : required) {
    object[name.get<std::string>()] = sample_of(properties.value(name.get<std::string>(), json::object()));
  }
  return object;
}

// A body is text as it stands, or a value that is sent as JSON.
std::string body_of(const json& from) {
  const auto body = from.value("body", json());
  if (body.is_null()) return {};
  return body.is_string() ? body.get<std::string>() : body.dump();
}

egress::Headers headers_of(const json& from) {
  egress::Headers headers;
  const auto given = from.value("headers", json::object());
  for (const auto& [name, value] : given.items()) headers.emplace_back(name, value.get<std::string>());
  return headers;
}

}  // namespace

json sample_of(const json& schema) {
  if (!schema.is_object()) return "x";
  if (schema.contains("examples") && schema["examples"].is_array() && !schema["examples"].empty()) {
    return schema["examples"][0];
  }
  if (schema.contains("default")) return schema["default"];
  if (schema.contains("const")) return schema["const"];
  if (schema.contains("enum") && !schema["enum"].empty()) return schema["enum"][0];
  const auto type = type_of(schema);
  if (type == "object") return sample_object(schema);
  if (type == "array") {
    json array = json::array();
    for (std::size_t i = 0; i < schema.value("minItems", std::size_t{0}); ++i) {
      array.push_back(sample_of(schema.value("items", json::object())));
    }
    return array;
  }
  if (type == "integer" || type == "number") return schema.value("minimum", 1);
  if (type == "boolean") return false;
  if (type == "null") return nullptr;
  return sample_text(schema);
}

std::vector<Example> examples_of(const json& operation) {
  std::vector<Example> all;
  for (const auto& from : operation.value("examples", json::array())) {
    if (!from.is_object()) continue;
    auto& example = all.emplace_back();
    example.given = true;
    example.params = from.value("params", json::object()).dump();
    for (const auto& reply : from.value("replies", json::array())) {
      example.replies.push_back({reply.value("status", 200), headers_of(reply), body_of(reply)});
    }
    if (from.contains("delivery")) {
      plugin::WebhookRequest request;
      request.method = from["delivery"].value("method", "POST");
      request.query = from["delivery"].value("query", "");
      request.headers = headers_of(from["delivery"]);
      request.body = body_of(from["delivery"]);
      example.delivery = std::move(request);
    }
  }
  if (all.empty()) {
    auto& example = all.emplace_back();
    example.params = sample_of(operation.value("params", json{{"type", "object"}})).dump();
  }
  for (auto& example : all) {
    if (example.delivery || operation.value("mode", "") != "webhook") continue;
    plugin::WebhookRequest request;
    request.method = "POST";
    request.headers = {{"content-type", "application/json"}};
    request.body = sample_of(operation.value("output", json{{"type", "object"}})).dump();
    example.delivery = std::move(request);
  }
  return all;
}

}  // namespace patchbay::kit
