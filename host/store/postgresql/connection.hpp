#pragma once

#include <memory>
#include <string>

#include "core/error.hpp"
#include "store/connection.hpp"

namespace patchbay::store::postgresql {

// Connects. Errc::unavailable with the server's reason, never with the URL, which may hold a password.
// exclusive: for as long as it lives nobody else has such a connection to that database; Errc::conflict when somebody has.
[[nodiscard]] Result<std::unique_ptr<Connection>> connect(const std::string& url, bool exclusive);

}  // namespace patchbay::store::postgresql
