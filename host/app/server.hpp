#pragma once

#include <functional>
#include <memory>
#include <string>

#include "app/config.hpp"
#include "core/error.hpp"
#include "store/database.hpp"

namespace patchbay::app {

// `patchbay serve`: everything wired together, until SIGTERM or SIGINT, which drain; a second one ends at once.
// config_errors and a database that is not at this program's schema stop it before it listens.
[[nodiscard]] Result<> serve(const Config& config);

// Opens the database that the configuration names; makes the folder of a SQLite file. For a host: as store::Options has them.
[[nodiscard]] Result<std::unique_ptr<store::Database>> open_database(const Config& config, std::string place = {},
                                                                     std::function<void()> on_announcement = {});

// Errc::conflict unless the schema is the one of this program; an empty database is migrated.
[[nodiscard]] Result<> check_schema(store::Database& database, bool migrate_older);

// The plugins' settings as the configuration has them.
[[nodiscard]] plugin::RegistrySettings registry_settings(const Config& config);

}  // namespace patchbay::app
