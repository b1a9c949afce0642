#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"

namespace patchbay::egress {

// Where a request goes: what the guard and the connection pool need of its URL.
struct Target {
  bool tls = false;
  std::uint16_t port = 0;
  std::string origin;  // "https://api.github.com:443": lower case, the port always there

  [[nodiscard]] std::string_view host() const;  // "api.github.com", "[::1]"
};

// Errc::invalid: not an absolute http or https URL of RFC 3986 (control characters, spaces), or one whose host is
// written in a way that two parsers may read differently (percent signs, empty). Errc::denied: user info, which would
// put a password where URLs are logged. No message holds the URL itself.
[[nodiscard]] Result<Target> parse_target(std::string_view url);

// Is host among them? "api.github.com" itself, "*.discord.gg" any name below it, "*" every name. Without regard to
// case.
[[nodiscard]] bool is_host_allowed(const std::vector<std::string>& allowed, std::string_view host);

// The URL that Location names, seen from the URL that answered with it (RFC 9110, 10.2.2), without its fragment.
// Bytes that no URL may hold are percent-encoded first, as browsers do.
[[nodiscard]] Result<std::string> resolve_redirect(std::string_view url, std::string_view location);

// "/repos/octo/hello": the path without query and fragment, for the log.
[[nodiscard]] std::string_view path_of(std::string_view url);

}  // namespace patchbay::egress
