#include "gateway/request_check.hpp"

#include <algorithm>
#include <array>

#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/verb.hpp>

namespace patchbay::gateway {
namespace http = boost::beast::http;

std::optional<Refusal> check_head(const RequestHead& head, bool chunked) {
  const auto hosts = head.count(http::field::host);
  if (hosts > 1) return Refusal{400, "bad_request", "more than one Host header"};
  if (hosts == 0 && head.version() >= 11) return Refusal{400, "bad_request", "the Host header is missing"};
  if (head.version() != 10 && head.version() != 11) return Refusal{505, "bad_version", "only HTTP/1.0 and 1.1 are served"};

  const auto codings = head.count(http::field::transfer_encoding);
  if (codings > 0) {
    if (head.count(http::field::content_length) > 0) {
      return Refusal{400, "bad_request", "both Content-Length and Transfer-Encoding"};
    }
    if (head.version() < 11) return Refusal{400, "bad_request", "HTTP/1.0 has no Transfer-Encoding"};
    const auto coding = head[http::field::transfer_encoding];
    if (codings > 1 || !chunked || !boost::beast::iequals(coding, "chunked")) {
      return Refusal{501, "not_implemented", "the only transfer coding served is chunked"};
    }
  }
  if (head.count(http::field::content_length) > 1) return Refusal{400, "bad_request", "more than one Content-Length"};
  const auto expect = head[http::field::expect];
  if (!expect.empty() && !boost::beast::iequals(expect, "100-continue")) {
    return Refusal{417, "expectation_failed", "the only expectation served is 100-continue"};
  }
  return std::nullopt;
}

std::optional<Refusal> refusal_of(const boost::system::error_code& error) {
  if (error == http::error::end_of_stream || error == http::error::partial_message) return std::nullopt;
  if (error == http::error::header_limit) return Refusal{431, "headers_too_large", "the request's head is too large"};
  if (error == http::error::body_limit) return Refusal{413, "payload_too_large", "the request's body is too large"};
  if (error == http::error::bad_version) return Refusal{505, "bad_version", "only HTTP/1.0 and 1.1 are served"};
  if (error == http::error::bad_content_length || error == http::error::multiple_content_length) {
    return Refusal{400, "bad_request", "the Content-Length is malformed"};
  }
  if (error.category() == make_error_code(http::error::bad_method).category()) {
    return Refusal{400, "bad_request", "not an HTTP request"};
  }
  return std::nullopt;  // the network's: nobody is there to be told
}

std::string_view methods_of(Route route) {
  switch (route) {
    case Route::hook: return "GET, POST, PUT";
    case Route::live:
    case Route::ready:
    case Route::health:
    case Route::metrics:
    case Route::about: return "GET, HEAD";
    case Route::options: return "OPTIONS";
    case Route::api:
    case Route::none: return "";
  }
  return "";
}

bool is_known_method(std::string_view method) {
  return http::string_to_verb({method.data(), method.size()}) != http::verb::unknown;
}

}  // namespace patchbay::gateway
