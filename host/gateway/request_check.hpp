#pragma once

#include <optional>
#include <string_view>

#include <boost/system/error_code.hpp>

#include "gateway/request_reader.hpp"
#include "gateway/target.hpp"

namespace patchbay::gateway {

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

// The refusal for a head that is longer than the limit: of its first line, or of the whole (RFC 6585, section 5).
[[nodiscard]] Refusal too_long(std::string_view head);

// Has the first line of this head the form of another version of HTTP, so that it is not malformed but too new?
[[nodiscard]] bool asks_other_version(std::string_view head);

// The methods of a route for the Allow header; empty: any.
[[nodiscard]] std::string_view methods_of(Route route);
[[nodiscard]] bool allows(std::string_view methods, std::string_view method);

// The client's own id when it is 1 to 64 of [A-Za-z0-9._-], else a new one.
[[nodiscard]] std::string request_id_of(std::string_view given);

// Is it a method that somebody has registered (RFC 9110, section 16.1.1)?
[[nodiscard]] bool is_known_method(std::string_view method);

}  // namespace patchbay::gateway
