#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace patchbay {

// What kind of failure it is. Closed: each maps once to HTTP, once to retry-or-not, once to the plugin ABI's status.
enum class Errc {
  invalid,          // the request makes no sense
  unauthenticated,  // not proven who it is
  denied,           // known, but not allowed
  not_found,
  conflict,     // the present state does not allow it
  exhausted,    // a limit or a queue is full: try later
  unavailable,  // a dependency does not answer: try later
  timeout,
  cancelled,
  internal,  // a bug here
};

// message: lower case, no full stop, names the thing, says what to do when it can. It never holds a secret.
struct Error {
  Errc code;
  std::string message;
};

template <class T = void>
using Result = std::expected<T, Error>;

// return fail(Errc::not_found, "github has no trigger 'pushed'");
[[nodiscard]] inline std::unexpected<Error> fail(Errc code, std::string message) {
  return std::unexpected(Error{code, std::move(message)});
}

[[nodiscard]] std::string_view name_of(Errc code);        // "not_found", as in API answers
[[nodiscard]] int http_status_of(Errc code);              // 404
[[nodiscard]] bool may_pass(Errc code);                   // worth trying again later
[[nodiscard]] std::optional<Errc> errc_named(std::string_view name);

}  // namespace patchbay
