#include "gateway/target.hpp"

#include <algorithm>
#include <array>

namespace patchbay::gateway {
namespace {

constexpr std::string_view kHex = "0123456789ABCDEF";

bool is_unreserved(char c) {  // and the sub-delimiters and ":@" that a segment may hold (RFC 3986, section 3.3)
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return std::string_view("-._~!$&'()*+,;=:@").find(c) != std::string_view::npos;
}

int nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Appends the segment in its normal form. False: malformed.
bool append_segment(std::string& path, std::string_view segment) {
  std::string decoded;
  for (std::size_t i = 0; i < segment.size(); ++i) {
    char c = segment[i];
    if (c == '%') {
      if (i + 2 >= segment.size()) return false;
      const int high = nibble(segment[i + 1]);
      const int low = nibble(segment[i + 2]);
      if (high < 0 || low < 0) return false;
      c = static_cast<char>(high << 4 | low);
      i += 2;
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
    decoded += c;
  }
  if (decoded == "." || decoded == "..") return false;
  for (const char c : decoded) {
    if (is_unreserved(c)) {
      path += c;
    } else {
      path += '%';
      path += kHex[static_cast<unsigned char>(c) >> 4];
      path += kHex[static_cast<unsigned char>(c) & 15];
    }
  }
  return true;
}

bool is_token(std::string_view text) {
  return !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

Route route_of(std::string_view path) {
  if (path == "/livez") return Route::live;
  if (path == "/readyz") return Route::ready;
  if (path == "/health") return Route::health;
  if (path == "/metrics") return Route::metrics;
  if (path == "/about.json") return Route::about;
  if (path.starts_with("/api/") || path.starts_with("/oauth2/")) return Route::api;
  return Route::none;
}

}  // namespace

std::string_view pattern_of(Route route) {
  constexpr std::array<std::string_view, 9> kPatterns{"/hooks/{token}", "/livez", "/readyz", "/health", "/metrics",
                                                      "/about.json",    "/api",   "*",       "none"};
  return kPatterns.at(static_cast<std::size_t>(route));
}

std::string path_for_log(const Target& target) {
  constexpr std::size_t kShown = 6;
  constexpr std::size_t kLong = 16;  // no token is as short
  if (target.route == Route::hook) {
    return "/hooks/" + target.token.substr(0, kShown) + (target.token.size() > kShown ? "~" : "");
  }
  if (target.route != Route::none) return target.path;
  // Nobody's path may be nearly that of a hook, in any of many ways: what may be a token is cut wherever it stands.
  std::string shown;
  std::string_view rest = target.path;
  while (!rest.empty()) {
    const auto next = rest.find('/', 1);
    const auto segment = rest.substr(0, next);
    shown += segment.size() > kLong ? std::string(segment.substr(0, kShown + 1)) + "~" : std::string(segment);
    rest.remove_prefix(std::min(next, rest.size()));
  }
  return shown.empty() ? "-" : shown;
}

bool is_well_escaped(std::string_view query) {
  for (std::size_t i = 0; i < query.size(); ++i) {
    if (query[i] != '%') continue;
    if (i + 2 >= query.size() || nibble(query[i + 1]) < 0 || nibble(query[i + 2]) < 0) return false;
    i += 2;
  }
  return true;
}

std::optional<Target> parse_target(std::string_view text) {
  Target target;
  if (text == "*") {
    target.route = Route::options;
    target.path = "*";
    return target;
  }
  for (const std::string_view scheme : {"http://", "https://"}) {  // absolute-form
    if (!text.starts_with(scheme)) continue;
    text.remove_prefix(scheme.size());
    const auto slash = text.find_first_of("/?");
    text = slash == std::string_view::npos ? std::string_view("/") : text.substr(slash);
  }
  if (!text.starts_with('/')) return std::nullopt;
  const auto question = text.find('?');
  if (question != std::string_view::npos) target.query = text.substr(question + 1);
  auto rest = text.substr(1, question == std::string_view::npos ? question : question - 1);
  const bool bad_query = std::any_of(target.query.begin(), target.query.end(), [](char c) {
    return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '#';
  });
  if (bad_query || rest.find('#') != std::string_view::npos) return std::nullopt;

  constexpr std::string_view kHooks = "hooks/";
  if (rest.starts_with(kHooks) && is_token(rest.substr(kHooks.size()))) {  // the hot path: nothing to decode
    target.route = Route::hook;
    target.token = rest.substr(kHooks.size());
    return target;
  }
  while (true) {
    const auto slash = rest.find('/');
    target.path += '/';
    if (!append_segment(target.path, rest.substr(0, slash))) return std::nullopt;
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  target.route = route_of(target.path);
  if (target.route == Route::api && !is_well_escaped(target.query)) return std::nullopt;
  return target;
}

}  // namespace patchbay::gateway
