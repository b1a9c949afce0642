#include "store/sqlite/connection.hpp"

#include <mutex>
#include <string>
#include <unordered_map>

#include <fmt/format.h>
#include <sqlite3.h>

#include "store/sqlite/gathering_vfs.hpp"
#include "store/sqlite/statement.hpp"

namespace patchbay::store::sqlite {
namespace {

// Process-wide, before SQLite starts. Its memory statistics take one global mutex at each allocation.
void configure_library() {
  static std::once_flag once;
  std::call_once(once, [] { sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); });
}

class SqliteConnection final : public Connection {
 public:
  explicit SqliteConnection(sqlite3* handle) : handle_(handle) {}
  ~SqliteConnection() override {
    statements_.clear();
    sqlite3_close(handle_);
  }
  SqliteConnection(const SqliteConnection&) = delete;
  SqliteConnection& operator=(const SqliteConnection&) = delete;

  Result<> configure(const Settings& settings, Access access);

  // A read's first statement takes the snapshot.
  Result<> begin(Access access, Retry& retry) override { return control(access == Access::write ? "BEGIN IMMEDIATE" : "BEGIN", retry); }
  Result<std::int64_t> run(std::string_view sql, std::size_t columns, std::span<const Param> params, const OnRow& on_row,
                           Retry& retry) override;
  Result<> announce(Retry&) override { return {}; }  // to nobody
  Result<> commit(Retry& retry) override { return control("COMMIT", retry); }
  // SQLite does it by itself after some errors.
  void roll_back() override {
    if (sqlite3_get_autocommit(handle_) == 0) sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
  Result<> run_script(std::string_view sql, Retry& retry) override {
    retry = Retry::no;
    return script(sql);
  }

 private:
  Result<> script(std::string_view sql);
  Result<> use_wal();
  Result<Statement*> kept(std::string_view sql);
  Result<> control(std::string_view sql, Retry& retry) {
    auto done = run(sql, 0, {}, {}, retry);
    if (!done) return std::unexpected(done.error());
    return {};
  }

  sqlite3* handle_;
  std::unordered_map<StatementKey, std::unique_ptr<Statement>, StatementKeyHash> statements_;
};

Result<> SqliteConnection::configure(const Settings& settings, Access access) {
  sqlite3_busy_timeout(handle_, static_cast<int>(settings.busy_timeout_ms));
  if (access == Access::read) {
    return script(fmt::format("PRAGMA cache_size = -{}; PRAGMA query_only = ON", settings.reader_cache_kib));
  }
  // The page size is the file's for ever, and is asked for before anything is in it.
  if (auto done = script(fmt::format("PRAGMA page_size = {}; PRAGMA auto_vacuum = INCREMENTAL", settings.page_bytes)); !done) return done;
  if (auto done = use_wal(); !done) return done;
  // FULL: the log is on the disk before COMMIT returns, which is the promise to the sender. secure_delete: Debian turns
  // it on, which writes zeros over whole pages; FAST does so only where a page is written anyway. The log is cut back
  // after a burst.
  return script(
      fmt::format("PRAGMA synchronous = {}; PRAGMA foreign_keys = ON; PRAGMA secure_delete = FAST; "
                  "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{}; PRAGMA wal_autocheckpoint = {}; "
                  "PRAGMA journal_size_limit = 67108864",
                  settings.durable ? "FULL" : "OFF", settings.writer_cache_kib, settings.checkpoint_pages));
}

Result<> SqliteConnection::use_wal() {
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
Result<Statement*> SqliteConnection::kept(std::string_view sql) {
  const StatementKey key(sql);
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

Result<std::int64_t> SqliteConnection::run(std::string_view sql, std::size_t columns, std::span<const Param> params,
                                     const OnRow& on_row, Retry& retry) {
  retry = Retry::no;
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
  if (!result && is_busy((*statement)->code())) retry = Retry::again;
  return result;
}

Result<> SqliteConnection::script(std::string_view sql) {
  const std::string text(sql);
  const int code = sqlite3_exec(handle_, text.c_str(), nullptr, nullptr, nullptr);
  if (code == SQLITE_OK) return {};
  auto error = error_of(handle_, code, "script failed");
  roll_back();
  return std::unexpected(std::move(error));
}

}  // namespace

Result<std::unique_ptr<Connection>> connect(const Settings& settings, Access access) {
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
  auto connection = std::make_unique<SqliteConnection>(handle);
  if (code != SQLITE_OK) return std::unexpected(error_of(handle, code, settings.path));
  sqlite3_extended_result_codes(handle, 1);
  if (auto done = connection->configure(settings, access); !done) {
    return fail(done.error().code, fmt::format("{}: {}", settings.path, done.error().message));
  }
  return connection;
}

}  // namespace patchbay::store::sqlite
