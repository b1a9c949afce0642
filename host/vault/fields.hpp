#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.hpp"
#include "core/error.hpp"

namespace patchbay::vault {

// What a credential consists of: "token", "access_token", "refresh_token", …
using Fields = std::map<std::string, Secret>;

// {"token":"..."}: what is sealed.
[[nodiscard]] Secret to_payload(const Fields& fields);
// nullopt: not an object of strings.
[[nodiscard]] std::optional<Fields> from_payload(const Secret& payload);

// "Bearer {token}" with the fields' values; "{basic}" is the base64 of username:password (RFC 7617).
// Errc::invalid: there is no such field.
[[nodiscard]] Result<Secret> expand(std::string_view format, const Fields& fields);

}  // namespace patchbay::vault
