#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/error.hpp"

namespace patchbay::store {

// Bytes, where std::string_view is text.
struct Blob {
  std::string_view bytes;
};

// A parameter of a statement. Views must live until the call returns.
using Param = std::variant<std::nullptr_t, std::int64_t, double, std::string_view, Blob>;

// One row of an answer, valid inside the callback only. Columns count from 0; a NULL reads as 0 or "". Each is read as what
// it is: a number with integer() or real(), text with text(). COUNT and SUM are numbers.
class Row {
 public:
  virtual ~Row() = default;
  [[nodiscard]] virtual bool is_null(int column) const = 0;
  [[nodiscard]] virtual std::int64_t integer(int column) const = 0;
  [[nodiscard]] virtual double real(int column) const = 0;
  [[nodiscard]] virtual std::string_view text(int column) const = 0;
  [[nodiscard]] virtual std::string_view blob(int column) const = 0;
};
using OnRow = std::function<void(const Row&)>;

// A transaction in progress, on the thread that runs it. Statements are SQL that SQLite and PostgreSQL both take:
// $1 parameters, RETURNING, ON CONFLICT; times are BIGINT microseconds, ids 36-character text, JSON text.
// Statements are prepared once and kept by their text's address, so pass string literals. A statement takes exactly the
// parameters that it names. After one that failed, all others of the transaction fail with the same error, and so does
// the transaction. What only one of them needs stands in a comment that the other one skips:
// "SELECT … /*postgresql: FOR KEY SHARE*/".
class Transaction {
 public:
  virtual ~Transaction() = default;

  // Runs one statement; on_row sees each row that it returns. Returns the number of rows changed.
  // Errc::conflict: a constraint; exhausted: disk full; unavailable: the database is away; internal: wrong SQL.
  virtual Result<std::int64_t> execute(std::string_view sql, std::span<const Param> params,
                                       const OnRow& on_row = {}) = 0;

  // Runs one statement for many rows of parameters, `columns` a row, as one batch where the driver can. on_row sees
  // the returned rows of all of them, in no promised order. Returns the number of rows changed by all.
  virtual Result<std::int64_t> execute_many(std::string_view sql, std::size_t columns, std::span<const Param> params,
                                            const OnRow& on_row = {}) = 0;

  // Tells the other processes on this database, once this is committed, that there is work: a hint, which may get lost.
  virtual Result<> announce() = 0;

  Result<std::int64_t> execute(std::string_view sql, std::initializer_list<Param> params, const OnRow& on_row = {}) {
    return execute(sql, std::span(params.begin(), params.size()), on_row);
  }
};
using Work = std::function<Result<>(Transaction&)>;

struct Space {
  std::int64_t used = 0;
  std::int64_t unused = 0;
};

// The port to a database. Any thread; every call blocks until it is done.
class Database {
 public:
  virtual ~Database() = default;

  // Runs work in a read-write transaction and commits it durably when work succeeds; otherwise nothing of it stays.
  // work may be run more than once (serialisation retry), so it must not have effects of its own. A write inside a
  // write of the same thread is Errc::internal.
  virtual Result<> write(const Work& work) = 0;

  // Runs work on one consistent snapshot. It must only read.
  virtual Result<> read(const Work& work) = 0;

  // Statements that no transaction may hold and that take parameters from no one: for migrations and pragmas. One that
  // fails ends the script; a transaction which the script has begun is then rolled back.
  virtual Result<> run_script(std::string_view sql) = 0;

  [[nodiscard]] virtual std::string_view dialect() const = 0;  // "sqlite" or "postgresql"

  // What the data take, and what lies in the file unused, in bytes.
  virtual Result<Space> space() = 0;
  // Gives about so many unused bytes back to the file system, in one short transaction. What was given back; 0: no more can
  // be (or the server does it by itself).
  virtual Result<std::int64_t> shrink(std::int64_t bytes) = 0;

  // Gives all unused bytes back, however long that takes: for when no host works on it.
  virtual Result<> compact() = 0;

  // Several hosts may work on it at the same time.
  [[nodiscard]] virtual bool is_shared() const = 0;
  // Whether a process that lives holds this place (Options::place).
  virtual Result<bool> is_held(std::string_view place) = 0;
};

// Opens what the URL names: "sqlite:/path/to/file.db" ("sqlite::memory:" for tests, shared by this Database's
// connections), or "postgresql://user:password@host:port/name?options", as libpq reads it. Errc::invalid: no such kind; unavailable: cannot be opened, with the reason.
struct Options {
  int readers = 4;  // read connections
  std::int64_t busy_timeout_ms = 5000;
  // The name of a host, which carries out what is in the database. It holds its place until it closes the database or
  // dies, which the others see at once. Errc::conflict: another host is there and the database is not shared. Others
  // (the command line) open it without a place.
  std::string place = {};
  // What a host keeps aside for the day when the disk is full is used up: without it nothing could be removed then.
  bool spend_reserve = false;
  std::function<void()> on_announcement = {};  // of another process; on a thread of the driver, while it holds a place
};
[[nodiscard]] Result<std::unique_ptr<Database>> open(std::string_view url, const Options& options = {});

}  // namespace patchbay::store
