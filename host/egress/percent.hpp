#pragma once

#include <string>
#include <string_view>

namespace patchbay::egress {

inline constexpr std::string_view kUnreserved = "-._~";  // with letters and digits (RFC 3986, 2.3)

// Letters, digits and what stands in kept stay; each other byte becomes %XX, in upper case.
void append_percent_encoded(std::string& out, std::string_view text, std::string_view kept = kUnreserved);
[[nodiscard]] std::string percent_encoded(std::string_view text, std::string_view kept = kUnreserved);
// A '%' without two hexadecimal digits stays what it is.
[[nodiscard]] std::string percent_decoded(std::string_view text);

}  // namespace patchbay::egress
