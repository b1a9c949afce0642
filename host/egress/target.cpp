#include "egress/target.hpp"

#include <algorithm>
#include <charconv>
#include <exception>

#include <boost/url/parse.hpp>
#include <boost/url/url.hpp>
#include <boost/url/url_view.hpp>

namespace patchbay::egress {
namespace {

namespace urls = boost::urls;

char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, to_lower, to_lower);
}

std::string_view without_brackets(std::string_view host) {
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') return host.substr(1, host.size() - 2);
  return host;
}

bool is_plain_name(std::string_view host) {
  return std::ranges::all_of(host, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' ||
           c == '_';
  });
}

Result<std::uint16_t> port_of(const urls::url_view& url, bool tls) {
  const std::string_view text(url.port().data(), url.port().size());
  if (text.empty()) return tls ? 443 : 80;
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || port == 0) return fail(Errc::invalid, "url has a port that is none");
  return port;
}

// Browsers and servers are lax about Location: spaces and UTF-8 are sent as they are.
std::string encode_stray_bytes(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f && std::string_view("\"<>\\^`{|}").find(c) == std::string_view::npos) {
      encoded += c;
    } else {
      encoded += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return encoded;
}

}  // namespace

std::string_view Target::host() const {
  const std::string_view text = origin;
  const auto begin = text.find("://") + 3;
  return text.substr(begin, text.rfind(':') - begin);
}

Result<Target> parse_target(std::string_view url) {
  const auto parsed = urls::parse_uri(urls::string_view(url.data(), url.size()));
  if (!parsed) return fail(Errc::invalid, "url is not an absolute url of RFC 3986");
  const urls::url_view& view = *parsed;

  Target target;
  target.tls = view.scheme_id() == urls::scheme::https;
  if (!target.tls && view.scheme_id() != urls::scheme::http)
    return fail(Errc::invalid, "url is neither http nor https");
  if (!view.has_authority()) return fail(Errc::invalid, "url has no host");
  if (view.has_userinfo()) return fail(Errc::denied, "url has user info: credentials belong into the connection");

  // Boost 1.81 reads "https://a:x/" as the host a with the path x/, which libcurl does not.
  const auto path = view.encoded_path();
  if (!path.empty() && path.front() != '/') return fail(Errc::invalid, "url has a port that is none");

  const auto host = view.encoded_host();
  const std::string_view name(host.data(), host.size());
  if (name.empty()) return fail(Errc::invalid, "url has no host");
  if (view.host_type() != urls::host_type::ipv6 && !is_plain_name(name)) {
    return fail(Errc::invalid, "url has a host name with other characters than letters, digits, '.', '-' and '_'");
  }
  auto port = port_of(view, target.tls);
  if (!port) return std::unexpected(std::move(port.error()));
  target.port = *port;

  target.origin.reserve(name.size() + 14);
  target.origin = target.tls ? "https://" : "http://";
  for (const char c : name) target.origin += to_lower(c);
  target.origin += ':';
  target.origin += std::to_string(target.port);
  return target;
}

bool is_host_allowed(const std::vector<std::string>& allowed, std::string_view host) {
  const auto bare = without_brackets(host);
  return std::ranges::any_of(allowed, [bare](std::string_view entry) {
    if (entry == "*") return true;
    if (!entry.starts_with("*.")) return equals_ignoring_case(without_brackets(entry), bare);
    const auto suffix = entry.substr(1);
    return bare.size() > suffix.size() && equals_ignoring_case(bare.substr(bare.size() - suffix.size()), suffix);
  });
}

Result<std::string> resolve_redirect(std::string_view url, std::string_view location) {
  const auto encoded = encode_stray_bytes(location);
  const auto base = urls::parse_uri(urls::string_view(url.data(), url.size()));
  const auto reference = urls::parse_uri_reference(encoded);
  if (!base || !reference) return fail(Errc::unavailable, "redirect to something that is no url");
  try {
    urls::url target;
    if (!urls::resolve(*base, *reference, target)) return fail(Errc::unavailable, "redirect that leads nowhere");
    target.remove_fragment();
    const auto text = target.buffer();
    return std::string(text.data(), text.size());
  } catch (const std::exception&) {  // Boost.URL: longer than it can hold
    return fail(Errc::unavailable, "redirect to something that is no url");
  }
}

std::string_view path_of(std::string_view url) {
  const auto scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) return {};
  const auto begin = url.find_first_of("/?#", scheme_end + 3);
  if (begin == std::string_view::npos || url[begin] != '/') return "/";
  return url.substr(begin, url.find_first_of("?#", begin) - begin);
}

}  // namespace patchbay::egress
