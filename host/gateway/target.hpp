#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace patchbay::gateway {

enum class Route { hook, live, ready, health, metrics, about, api, options, none };
[[nodiscard]] std::string_view pattern_of(Route route);  // "/hooks/{token}", as metrics have it

// A request target, taken apart (RFC 9112, section 3.2) and made normal: each segment decoded and encoded again, so
// that whoever is behind the gateway sees one form of a path only.
struct Target {
  Route route = Route::none;
  std::string path;   // encoded again, begins with '/'
  std::string query;  // as it came, without '?'
  std::string token;  // of a hook
};

// What the log may show of it: no query, and of a hook's token, or what may be one, the first six characters.
[[nodiscard]] std::string path_for_log(const Target& target);

// Has the query whole escapes only?
[[nodiscard]] bool is_well_escaped(std::string_view query);

// nullopt: malformed: a bad escape, a NUL or control character, a segment that leads upwards.
[[nodiscard]] std::optional<Target> parse_target(std::string_view text);

}  // namespace patchbay::gateway
