#pragma once

#include <optional>
#include <string_view>

#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>

#include "gateway/core.hpp"
#include "gateway/target.hpp"

namespace patchbay::gateway {

using RequestHead = boost::beast::http::header<true, boost::beast::http::fields>;

// Why a request cannot be served.
struct Refusal {
  int status;
  std::string_view code;
  std::string_view detail;
};

// What RFC 9112 asks for beyond the parser: one Host (section 3.2), a transfer coding that we know (6.1), not both
// framings (6.3), an expectation that we can meet (RFC 9110, 10.1.1).
[[nodiscard]] std::optional<Refusal> check_head(const RequestHead& head, bool chunked);

// The refusal for an error of the parser; nullopt: nothing to say, the connection is over.
[[nodiscard]] std::optional<Refusal> refusal_of(const boost::system::error_code& error);

// The methods of a route for the Allow header; empty: any.
[[nodiscard]] std::string_view methods_of(Route route);

// Is it a method that somebody has registered (RFC 9110, section 16.1.1)?
[[nodiscard]] bool is_known_method(std::string_view method);

}  // namespace patchbay::gateway
