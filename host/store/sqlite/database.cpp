#include "store/sqlite/database.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "store/pooled_database.hpp"
#include "store/sqlite/connection.hpp"

namespace patchbay::store::sqlite {
namespace {

Result<std::string> make_temporary_file() {
  std::error_code error;
  auto path = (std::filesystem::temp_directory_path(error) / "patchbay-XXXXXX").string();
  const int file = error ? -1 : ::mkstemp(path.data());
  if (file < 0) return fail(Errc::unavailable, "no temporary database file can be made: set TMPDIR");
  ::close(file);
  return path;
}

// The file holds tokens (sealed) and people's data, so a new one is its owner's alone; the log takes its mode over. One
// that exists is not touched: closing any descriptor of it would drop this process's locks on it (fcntl(2)).
Result<> make_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file >= 0) ::close(file);
  if (file >= 0 || errno == EEXIST) return {};
  return fail(Errc::unavailable, fmt::format("{} cannot be made: {}", path, std::strerror(errno)));
}

// Held until the descriptor is closed, also by the death of the process. A file beside: SQLite's own locks are the
// process's, and a second descriptor of the database would drop them.
Result<std::shared_ptr<const int>> lock_out_others(const std::string& path) {
  const auto name = path + ".lock";
  const int file = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return fail(Errc::unavailable, fmt::format("{} cannot be made: {}", name, std::strerror(errno)));
  std::shared_ptr<const int> held(new int(file), [](const int* descriptor) {
    ::close(*descriptor);
    delete descriptor;
  });
  if (::flock(file, LOCK_EX | LOCK_NB) != 0) return fail(Errc::conflict, fmt::format("another host works on {}", path));
  return held;
}

}  // namespace

Result<std::unique_ptr<Database>> open(std::string_view place, const Options& options) {
  Settings settings;
  settings.busy_timeout_ms = options.busy_timeout_ms;
  const bool temporary = place == ":memory:";
  if (temporary) {
    auto path = make_temporary_file();
    if (!path) return std::unexpected(path.error());
    settings.path = *std::move(path);
    settings.durable = false;
  } else {
    settings.path = place;
    if (auto made = make_file(settings.path); !made) return std::unexpected(made.error());
  }
  std::shared_ptr<const int> lock;
  if (!options.place.empty() && !temporary) {
    auto locked = lock_out_others(settings.path);
    if (!locked) return std::unexpected(locked.error());
    lock = *std::move(locked);
  }
  return make_pooled_database({.dialect = "sqlite",
                               .readers = options.readers,
                               .tries = 4,  // each waits busy_timeout for another process's
                               .open = [settings](Access access) { return connect(settings, access); },
                               .closed =
                                   [lock, path = temporary ? settings.path : ""] {
                                     std::error_code ignored;
                                     for (const auto* suffix : {"", "-wal", "-shm"}) {
                                       if (!path.empty()) std::filesystem::remove(path + suffix, ignored);
                                     }
                                   }});
}

}  // namespace patchbay::store::sqlite
