#include "gateway/response.hpp"

#include <iterator>

#include <fmt/format.h>
#include <boost/beast/http/status.hpp>

#include "core/json.hpp"

namespace patchbay::gateway {

std::string_view reason_of(int status) {
  const auto text = boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(status));
  return {text.data(), text.size()};
}

Response problem(int status, std::string_view code, std::string_view detail, std::string_view request_id) {
  Response response;
  response.status = status;
  response.content_type = "application/problem+json";
  response.body =
      fmt::format(R"({{"type":"about:blank","title":{},"status":{},"detail":{},"code":{},"request_id":{}}})",
                  json_quote(reason_of(status)), status, json_quote(detail), json_quote(code), json_quote(request_id));
  return response;
}

// These have no body and no length (RFC 9110, sections 8.6, 15.3.5, 15.4.5).
static bool is_bodiless(int status) { return status == 204 || status == 304; }

std::string serialise(const Response& response, std::string_view request_id, bool head, bool keep_alive,
                      bool http_1_0) {
  std::string text;
  text.reserve(256 + response.body.size());
  const auto out = std::back_inserter(text);
  fmt::format_to(out, "HTTP/1.{} {} {}\r\n", http_1_0 ? 0 : 1, response.status, reason_of(response.status));
  if (head && !response.head_length.empty()) {
    fmt::format_to(out, "Content-Length: {}\r\n", response.head_length);
  } else if (!is_bodiless(response.status)) {
    fmt::format_to(out, "Content-Length: {}\r\n", response.body.size());
  }
  if (!response.content_type.empty()) fmt::format_to(out, "Content-Type: {}\r\n", response.content_type);
  if (!keep_alive) text += "Connection: close\r\n";
  if (keep_alive && http_1_0) text += "Connection: keep-alive\r\n";
  for (const auto& [name, value] : response.headers) fmt::format_to(out, "{}: {}\r\n", name, value);
  fmt::format_to(out, "X-Content-Type-Options: nosniff\r\nX-Request-Id: {}\r\n\r\n", request_id);
  if (!head && !is_bodiless(response.status)) text += response.body;
  return text;
}

}  // namespace patchbay::gateway
