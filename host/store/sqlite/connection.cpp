#include "store/sqlite/connection.hpp"

#include <mutex>

#include <fmt/format.h>
#include <sqlite3.h>

#include "store/sqlite/gathering_vfs.hpp"

namespace patchbay::store::sqlite {
namespace {

// Far more than the program has; a caller that builds its SQL cannot make the memory grow without end.
constexpr std::size_t kMostStatements = 400;

// Process-wide, before SQLite starts. Its memory statistics take one global mutex at each allocation.
void configure_library() {
  static std::once_flag once;
  std::call_once(once, [] { sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); });
}

}  // namespace

Result<std::unique_ptr<Connection>> Connection::create(const Settings& settings, Mode mode) {
  configure_library();
  const char* vfs = nullptr;
  if (settings.durable) {  // the VFS relies on the syncs
    const auto gathering = gathering_vfs();
    if (!gathering) return std::unexpected(gathering.error());
    vfs = *gathering;
  }
  sqlite3* handle = nullptr;
  // NOMUTEX: a connection is with one thread at a time already.
  const int code = sqlite3_open_v2(settings.path.c_str(), &handle,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, vfs);
  std::unique_ptr<Connection> connection(new Connection(handle));
  if (code != SQLITE_OK) return std::unexpected(error_of(handle, code, settings.path));
  sqlite3_extended_result_codes(handle, 1);
  if (auto done = connection->configure(settings, mode); !done) {
    return fail(done.error().code, fmt::format("{}: {}", settings.path, done.error().message));
  }
  return connection;
}

Connection::~Connection() {
  statements_.clear();
  sqlite3_close(handle_);
}

Result<> Connection::configure(const Settings& settings, Mode mode) {
  sqlite3_busy_timeout(handle_, static_cast<int>(settings.busy_timeout_ms));
  if (mode == Mode::read) {
    return run_script(fmt::format("PRAGMA cache_size = -{}; PRAGMA query_only = ON", settings.reader_cache_kib));
  }
  // The page size is the file's for ever, and is asked for before anything is in it.
  if (auto done = run_script(fmt::format("PRAGMA page_size = {}", settings.page_bytes)); !done) return done;
  if (auto done = use_wal(); !done) return done;
  // FULL: the log is on the disk before COMMIT returns, which is the promise to the sender. secure_delete: Debian turns
  // it on, which writes zeros over whole pages; FAST does so only where a page is written anyway. The log is cut back
  // after a burst.
  return run_script(
      fmt::format("PRAGMA synchronous = {}; PRAGMA foreign_keys = ON; PRAGMA secure_delete = FAST; "
                  "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{}; PRAGMA wal_autocheckpoint = {}; "
                  "PRAGMA journal_size_limit = 67108864",
                  settings.durable ? "FULL" : "OFF", settings.writer_cache_kib, settings.checkpoint_pages));
}

Result<> Connection::use_wal() {
  auto statement = Statement::prepare(handle_, "PRAGMA journal_mode = WAL", false);
  if (!statement) return std::unexpected(statement.error());
  std::string mode;
  auto done = (*statement)->run(0, {}, [&mode](const Row& row) { mode = row.text(0); });
  if (!done) return std::unexpected(done.error());
  // Network file systems have no shared memory.
  if (mode != "wal") return fail(Errc::unavailable, "the file system cannot hold a write-ahead log: use a local disk");
  return {};
}

// Null: the one that stands there is in use, by an on_row that runs a statement itself.
Result<Statement*> Connection::kept(std::string_view sql) {
  const Key key{sql.data(), sql.size()};
  const auto found = statements_.find(key);
  if (found != statements_.end()) {
    if (found->second->in_use()) return nullptr;
    if (found->second->sql() == sql) return found->second.get();
  }
  auto prepared = Statement::prepare(handle_, sql, true);
  if (!prepared) return std::unexpected(prepared.error());
  if (statements_.size() >= kMostStatements) {
    std::erase_if(statements_, [](const auto& entry) { return !entry.second->in_use(); });
  }
  return (statements_[key] = *std::move(prepared)).get();
}

Result<std::int64_t> Connection::run(std::string_view sql, std::size_t columns, std::span<const Param> params,
                                     const OnRow& on_row, bool& retry) {
  retry = false;
  auto statement = kept(sql);
  if (!statement) return std::unexpected(statement.error());
  std::unique_ptr<Statement> extra;
  if (*statement == nullptr) {
    auto prepared = Statement::prepare(handle_, sql, false);
    if (!prepared) return std::unexpected(prepared.error());
    extra = *std::move(prepared);
    statement = extra.get();
  }
  auto result = (*statement)->run(columns, params, on_row);
  retry = !result && is_busy((*statement)->code());
  return result;
}

Result<> Connection::control(std::string_view sql, bool& retry) {
  auto done = run(sql, 0, {}, {}, retry);
  if (!done) return std::unexpected(done.error());
  return {};
}

Result<> Connection::run_script(std::string_view sql) {
  const std::string text(sql);
  const int code = sqlite3_exec(handle_, text.c_str(), nullptr, nullptr, nullptr);
  if (code == SQLITE_OK) return {};
  auto error = error_of(handle_, code, "script failed");
  roll_back();
  return std::unexpected(std::move(error));
}

void Connection::roll_back() {
  if (sqlite3_get_autocommit(handle_) == 0) sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
}

}  // namespace patchbay::store::sqlite
