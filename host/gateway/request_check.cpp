#include "gateway/request_check.hpp"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/verb.hpp>

#include "core/bytes.hpp"

namespace patchbay::gateway {
namespace http = boost::beast::http;

namespace {

// More than any sender known to us has; each costs memory beside its bytes.
constexpr std::size_t kHeaders = 128;

bool is_request_id(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
}

}  // namespace

std::optional<Refusal> check_head(const RequestHead& head, bool chunked) {
  if (head.headers.size() > kHeaders) return Refusal{431, "headers_too_large", "the request has too many headers"};
  if (head.hosts > 1) return Refusal{400, "bad_request", "more than one Host header"};
  if (head.hosts == 0 && head.version >= 11) return Refusal{400, "bad_request", "the Host header is missing"};
  if (head.codings > 0) {
    if (head.lengths > 0) return Refusal{400, "bad_request", "both Content-Length and Transfer-Encoding"};
    if (head.version < 11) return Refusal{400, "bad_request", "HTTP/1.0 has no Transfer-Encoding"};
    if (head.codings > 1 || !chunked || !boost::beast::iequals(head.find("transfer-encoding"), "chunked")) {
      return Refusal{501, "not_implemented", "the only transfer coding served is chunked"};
    }
  }
  // Equal ones may be taken for one (RFC 9112, section 6.3), but no honest sender makes them.
  if (head.lengths > 1 || head.find("content-length").find(',') != std::string_view::npos) {
    return Refusal{400, "bad_request", "more than one Content-Length"};
  }
  const auto expect = head.find("expect");
  if (!expect.empty() && !boost::beast::iequals(expect, "100-continue")) {
    return Refusal{417, "expectation_failed", "the only expectation served is 100-continue"};
  }
  return std::nullopt;
}

std::optional<Refusal> refusal_of(const boost::system::error_code& error) {
  if (error == http::error::end_of_stream || error == http::error::partial_message) return std::nullopt;
  if (error == http::error::header_limit) return Refusal{431, "headers_too_large", "the request's head is too large"};
  if (error == http::error::body_limit) return Refusal{413, "payload_too_large", "the request's body is too large"};
  if (error == http::error::bad_content_length || error == http::error::multiple_content_length) {
    return Refusal{400, "bad_request", "the Content-Length is malformed"};
  }
  if (error.category() == make_error_code(http::error::bad_method).category()) {
    return Refusal{400, "bad_request", "not an HTTP request"};
  }
  return std::nullopt;  // the network's: nobody is there to be told
}

Refusal too_long(std::string_view head) {
  if (head.find('\n') == std::string_view::npos) {
    return {414, "target_too_long", "the request's first line is too long"};
  }
  return {431, "headers_too_large", "the request's head is too large"};
}

bool asks_other_version(std::string_view head) {
  const auto line = head.substr(0, head.find('\r'));
  if (line.size() < 9) return false;
  const auto version = line.substr(line.size() - 9);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return version.starts_with(" HTTP/") && is_digit(version[6]) && version[7] == '.' && is_digit(version[8]) &&
         version != " HTTP/1.0" && version != " HTTP/1.1";
}

std::string_view methods_of(Route route) {
  switch (route) {
    case Route::hook:
      return "GET, HEAD, POST, PUT";  // GET and HEAD: handshakes of providers
    case Route::live:
    case Route::ready:
    case Route::health:
    case Route::metrics:
    case Route::about:
      return "GET, HEAD";
    case Route::options:
      return "OPTIONS";
    case Route::api:
      return "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
    case Route::none:
      return "";
  }
  return "";
}

bool allows(std::string_view methods, std::string_view method) {
  for (std::size_t at = 0; at < methods.size();) {
    const auto comma = std::min(methods.find(',', at), methods.size());
    if (methods.substr(at, comma - at) == method) return true;
    at = comma + 2;
  }
  return false;
}

std::string request_id_of(std::string_view given) {
  if (is_request_id(given)) return std::string(given);
  // Not a secret and not a database key, only something to search for: counted, from a random start of this process.
  static const std::string prefix = to_hex(random_bytes(5));
  static std::uint64_t number = 0;
  return fmt::format("{}-{:x}", prefix, ++number);
}

bool is_known_method(std::string_view method) {
  return http::string_to_verb({method.data(), method.size()}) != http::verb::unknown;
}

}  // namespace patchbay::gateway
