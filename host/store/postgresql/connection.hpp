#pragma once

#include <memory>
#include <string>

#include "core/error.hpp"
#include "store/connection.hpp"

namespace patchbay::store::postgresql {

// Connects. Errc::unavailable with the server's reason, never with the URL, which may hold a password.
[[nodiscard]] Result<std::unique_ptr<Connection>> connect(const std::string& url);

// url with time-outs and keepalives, where it does not say its own.
[[nodiscard]] std::string with_defaults(const std::string& url);

}  // namespace patchbay::store::postgresql
