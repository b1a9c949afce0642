#include "api/message.hpp"

#include <nlohmann/json.hpp>

namespace patchbay::api {
namespace {

std::string_view title_of(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 412:
      return "Precondition Failed";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return status < 500 ? "Bad Request" : "Internal Server Error";
  }
}

}  // namespace

Response json_response(int status, const nlohmann::json& body) {
  Response response;
  response.status = status;
  response.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return response;
}

Response created(const std::string& location, const nlohmann::json& body) {
  auto response = json_response(201, body);
  response.headers.emplace_back("Location", location);
  return response;
}

Response no_content() {
  Response response;
  response.status = 204;
  response.content_type.clear();
  return response;
}

nlohmann::json json_or_text(const std::string& text) {
  constexpr int kDepthLimit = 1000;
  if (text.empty()) return nullptr;
  int deepest = 0;
  auto value = nlohmann::json::parse(
      text,
      [&deepest](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
        deepest = std::max(deepest, depth);
        return depth <= kDepthLimit;
      },
      false);
  if (value.is_discarded() || deepest > kDepthLimit) return text;
  return value;
}

Response problem(int status, std::string_view code, std::string_view detail, const std::string& request_id,
                 const std::vector<Fault>& faults) {
  nlohmann::json body{{"type", "about:blank"}, {"title", title_of(status)}, {"status", status}, {"detail", detail},
                      {"code", code},          {"request_id", request_id}};
  for (const auto& fault : faults) {
    body["errors"].push_back({{"pointer", fault.pointer}, {"code", fault.code}, {"detail", fault.detail}});
  }
  auto response = json_response(status, body);
  response.content_type = "application/problem+json";
  if (status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (status == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

Response problem(const Error& error, const std::string& request_id) {
  return problem(http_status_of(error.code), name_of(error.code), error.message, request_id);
}

}  // namespace patchbay::api
