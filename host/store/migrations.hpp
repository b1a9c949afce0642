#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "store/database.hpp"

namespace patchbay::store {

// Numbered SQL files, store/migrations/NNNN_name.up.sql and .down.sql, embedded in the program. A line
// "-- sqlite: ..." or "-- postgresql: ..." is taken, without its mark, by that dialect only.
struct Migration {
  int version;
  std::string_view name;
  std::string_view up;
  std::string_view down;
};
[[nodiscard]] std::vector<Migration> migrations();  // ascending

struct MigrationState {
  int current;  // 0: empty
  int latest;
};
[[nodiscard]] Result<MigrationState> migration_state(Database& database);

// Brings the schema to `version`, up or down, one transaction a step. Errc::conflict when an applied migration's text
// is not the one in this program (its SHA-256 is kept), or the database is newer than the program.
[[nodiscard]] Result<> migrate(Database& database, int version);
[[nodiscard]] Result<> migrate_to_latest(Database& database);

}  // namespace patchbay::store
