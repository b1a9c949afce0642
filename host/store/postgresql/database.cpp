#include "store/postgresql/database.hpp"

#include <string>

#include "store/pooled_database.hpp"
#include "store/postgresql/connection.hpp"

namespace patchbay::store::postgresql {

Result<std::unique_ptr<Database>> open(std::string_view url, const Options& options) {
  return make_pooled_database({.dialect = "postgresql",
                               .readers = options.readers,
                               .tries = 30,  // other processes work on the same rows
                               .open = [url = std::string(url), exclusive = options.exclusive](
                                           Access access) { return connect(url, exclusive && access == Access::write); }});
}

}  // namespace patchbay::store::postgresql
