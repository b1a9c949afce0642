#pragma once

#include <string>
#include <string_view>

#include "core/error.hpp"

namespace patchbay::identity {

// The form in which an address is kept and looked up: without white space around it, its domain in lower case (the part
// before the @ is the domain owner's business, RFC 5321, 2.4, so it stays as it is).
// Errc::invalid: not a plain address of at most 254 bytes. Quoted local parts and address literals are refused.
[[nodiscard]] Result<std::string> normalise_email(std::string_view text);

}  // namespace patchbay::identity
