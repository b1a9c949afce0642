#pragma once

#include <memory>
#include <string_view>

#include "core/error.hpp"
#include "store/database.hpp"

namespace patchbay::store::sqlite {

// place: a file's path, or ":memory:" for a file of its own in the temporary folder that goes with the Database.
[[nodiscard]] Result<std::unique_ptr<Database>> open(std::string_view place, const Options& options);

}  // namespace patchbay::store::sqlite
