#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "core/error.hpp"
#include "flow/template.hpp"

namespace patchbay::api {

// A request as handlers see it. Nothing of the server is in it, so tests make one by hand.
struct Request {
  std::string method;
  std::string path;                               // "/api/v1/flows/0190…"
  std::map<std::string, std::string> query;       // decoded
  std::map<std::string, std::string> parameters;  // of the route's pattern: "id"
  std::string body;
  std::string bearer;    // of the Authorization header
  std::string if_match;  // without quotes
  std::string request_id;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

[[nodiscard]] Response json_response(int status, const nlohmann::json& body);
[[nodiscard]] Response created(const std::string& location, const nlohmann::json& body);  // 201
[[nodiscard]] Response no_content();

// Stored text for showing: its value when it is JSON, the text itself when it is not (or is nested deeper than what can
// be written without fear for the stack: some of it comes from strangers), null when it is empty.
[[nodiscard]] nlohmann::json json_or_text(const std::string& text);

// One fault of a request.
struct Fault {
  std::string pointer;  // RFC 6901 into the body, or the name of a query parameter
  std::string code;
  std::string detail;
};

// application/problem+json (RFC 9457).
[[nodiscard]] Response problem(int status, std::string_view code, std::string_view detail,
                               const std::string& request_id, const std::vector<Fault>& faults = {});
[[nodiscard]] Response problem(const Error& error, const std::string& request_id);

}  // namespace patchbay::api
