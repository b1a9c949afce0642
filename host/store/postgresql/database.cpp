#include "store/postgresql/database.hpp"

#include <string>

#include "store/pooled_database.hpp"
#include "store/postgresql/connection.hpp"
#include "store/postgresql/place.hpp"

namespace patchbay::store::postgresql {

Result<std::unique_ptr<Database>> open(std::string_view url, const Options& options) {
  // The writer's connection comes first: its error says what is wrong with the URL.
  PoolSettings settings{.dialect = "postgresql",
                        .readers = options.readers,
                        .tries = 30,  // other processes work on the same rows
                        .open = [url = std::string(url)](Access) { return connect(url); },
                        .shared = true,
                        .space = "SELECT pg_database_size(current_database()), 0",
                        .compact = "VACUUM",
                        .take_place = kTakePlace};
  auto holder = std::make_shared<std::unique_ptr<Place>>();
  settings.closed = [holder] { holder->reset(); };
  auto database = make_pooled_database(std::move(settings));
  if (!database || options.place.empty()) return database;
  auto taken = Place::take(std::string(url), options.place, options.on_announcement);
  if (!taken) return std::unexpected(taken.error());
  *holder = *std::move(taken);
  return database;
}

}  // namespace patchbay::store::postgresql
