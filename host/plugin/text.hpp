#pragma once

#include <string_view>

#include <patchbay/plugin.h>

namespace patchbay::plugin {

// A plugin's text. No pointer is no text, whatever length it claims; the pointer of the result is never null, for parsers
// want one.
[[nodiscard]] inline std::string_view view(pbay_str text) {
  return text.ptr == nullptr ? std::string_view("") : std::string_view(text.ptr, text.len);
}

[[nodiscard]] inline pbay_str raw(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace patchbay::plugin
