#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/bytes.hpp"

namespace patchbay::egress {

using Expansions = std::vector<std::pair<std::string, Secret>>;  // reference -> secret

// Replaces references by their secrets, written so that they stay one value where they stand: percent-encoded in a
// url (unless the url begins with the reference: then it is a whole one) and in a form, escaped in JSON, as they are
// elsewhere.
enum class Place { url, header, json, form, other };
[[nodiscard]] std::string expand(std::string_view text, Place place, const Expansions& expansions);
[[nodiscard]] bool holds_reference(std::string_view text, const Expansions& expansions);

// Puts "***" in the place of secret, without regard to case (a host name comes back in lower case).
void redact(std::string& message, std::string_view secret);

}  // namespace patchbay::egress
