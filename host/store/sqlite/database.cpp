#include "store/sqlite/database.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "core/log.hpp"
#include "store/pooled_database.hpp"
#include "store/sqlite/connection.hpp"

namespace patchbay::store::sqlite {
namespace {

constexpr off_t kReserveBytes = 8 << 20;

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

// Removing rows writes to the log, so on a full disk even that fails. Where the file system cannot keep bytes aside there is
// none.
void keep_reserve(const std::string& path) {
  const auto name = path + ".reserve";
  const int file = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return;
  const int kept = ::posix_fallocate(file, 0, kReserveBytes);
  ::close(file);
  if (kept == 0) return;
  log::warn("store", "{} bytes cannot be kept aside: {}", kReserveBytes, std::strerror(kept));
  ::unlink(name.c_str());
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
    keep_reserve(settings.path);
  }
  if (options.spend_reserve) ::unlink((settings.path + ".reserve").c_str());
  PoolSettings pool{.dialect = "sqlite",
                    .readers = options.readers,
                    .tries = 4,  // each waits busy_timeout for another process's
                    .open = [settings](Access access) { return connect(settings, access); }};
  pool.closed = [lock, path = temporary ? settings.path : ""] {
    std::error_code ignored;
    for (const auto* suffix : {"", "-wal", "-shm"}) {
      if (!path.empty()) std::filesystem::remove(path + suffix, ignored);
    }
  };
  pool.space = "SELECT (page_count - freelist_count) * page_size, freelist_count * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
  // The file ends when the log is checkpointed next.
  pool.compact = "PRAGMA auto_vacuum = INCREMENTAL; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)";
  pool.shrink = [page = settings.page_bytes](std::int64_t bytes) { return fmt::format("PRAGMA incremental_vacuum({})", bytes / page); };
  return make_pooled_database(std::move(pool));
}

}  // namespace patchbay::store::sqlite
