#include "store/database.hpp"

#include <fmt/format.h>

#include "store/postgresql/database.hpp"
#include "store/sqlite/database.hpp"

namespace patchbay::store {

Result<std::unique_ptr<Database>> open(std::string_view url, const Options& options) {
  constexpr std::string_view kSqlite = "sqlite:";
  if (url.starts_with(kSqlite)) {
    const auto place = url.substr(kSqlite.size());
    if (place.empty()) return fail(Errc::invalid, "the database URL names no file: write sqlite:/path/to/file.db");
    return sqlite::open(place, options);
  }
  if (url.starts_with("postgresql://") || url.starts_with("postgres://")) return postgresql::open(url, options);
  // What stands behind the scheme may hold a password.
  return fail(Errc::invalid,
              fmt::format("no database of kind '{}': use sqlite:/path/to/file.db or postgresql://user@host/name", url.substr(0, url.find(':'))));
}

}  // namespace patchbay::store
