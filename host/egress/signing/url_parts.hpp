#pragma once

#include <string>
#include <string_view>

namespace patchbay::egress {

// An absolute URL that parse_target() took, without its fragment, as it stands there: nothing decoded.
struct UrlParts {
  std::string_view origin;  // "https://api.example.com:8443"
  std::string_view path;    // "/a/b"; may be empty
  std::string_view query;   // "x=1&y=2"; without '?'

  [[nodiscard]] std::string host_header() const;  // "api.example.com:8443", as libcurl sends it: no default port
};

[[nodiscard]] UrlParts split_url(std::string_view url);

}  // namespace patchbay::egress
