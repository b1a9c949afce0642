#pragma once

#include <memory>
#include <string_view>

#include "core/error.hpp"
#include "store/database.hpp"

namespace patchbay::store::postgresql {

// url: as libpq reads it, postgresql://user:password@host:port/name?options (PostgreSQL 15, 34.1.1.2).
[[nodiscard]] Result<std::unique_ptr<Database>> open(std::string_view url, const Options& options);

}  // namespace patchbay::store::postgresql
