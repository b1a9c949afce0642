#pragma once

#include <string>
#include <string_view>

#include <patchbay/plugin.h>

#include "core/error.hpp"

namespace patchbay::plugin {

// The one place where the ABI's statuses and the host's error codes meet.
[[nodiscard]] pbay_status status_of(Errc code);
[[nodiscard]] Error error_of(pbay_status status, std::string message);
[[nodiscard]] std::string_view status_name(pbay_status status);  // "PBAY_E_ARG"

}  // namespace patchbay::plugin
