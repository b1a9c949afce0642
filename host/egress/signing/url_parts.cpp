#include "egress/signing/url_parts.hpp"

#include <algorithm>
#include <charconv>

namespace patchbay::egress {

UrlParts split_url(std::string_view url) {
  const auto scheme_end = url.find("://");
  const auto host_begin = scheme_end == std::string_view::npos ? 0 : scheme_end + 3;
  const auto path_begin = std::min(url.find_first_of("/?", host_begin), url.size());
  const auto question = std::min(url.find('?', path_begin), url.size());
  return {.origin = url.substr(0, path_begin),
          .path = url.substr(path_begin, question - path_begin),
          .query = question < url.size() ? url.substr(question + 1) : std::string_view{}};
}

std::string UrlParts::host_header() const {
  const auto scheme_end = origin.find("://");
  const auto authority = scheme_end == std::string_view::npos ? origin : origin.substr(scheme_end + 3);
  const auto host_end = authority.front() == '[' ? authority.find(']') : 0;
  const auto colon = authority.find(':', host_end);
  std::string host(authority.substr(0, colon));
  if (colon == std::string_view::npos) return host;

  const auto digits = authority.substr(colon + 1);
  unsigned port = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), port);
  const bool is_default = port == 0 || port == (origin.starts_with("https") ? 443U : 80U);
  return is_default ? host : host + ":" + std::to_string(port);
}

}  // namespace patchbay::egress
