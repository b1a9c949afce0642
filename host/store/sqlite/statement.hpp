#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "store/database.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace patchbay::store::sqlite {

// What went wrong last on a connection, as our kind of error. code: SQLite's, extended; what: the thing tried.
[[nodiscard]] Error error_of(sqlite3* handle, int code, std::string_view what);
[[nodiscard]] bool is_busy(int code);

// One prepared statement of one connection; on the thread that holds the connection.
class Statement {
 public:
  // keep: it will be used again, so SQLite should not take it from short-lived memory.
  static Result<std::unique_ptr<Statement>> prepare(sqlite3* handle, std::string_view sql, bool keep);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Runs it once for each row of `columns` parameters (once when there are none). Returns the number of rows changed;
  // after an error code() is SQLite's.
  Result<std::int64_t> run(std::size_t columns, std::span<const Param> params, const OnRow& on_row);

  [[nodiscard]] bool in_use() const;  // its rows are being read: the caller is inside on_row
  [[nodiscard]] std::string_view sql() const { return sql_; }
  [[nodiscard]] int code() const { return code_; }

 private:
  Statement(sqlite3* handle, sqlite3_stmt* statement, std::string_view sql)
      : handle_(handle), statement_(statement), sql_(sql) {}

  Result<> read_slots();
  int bind(std::span<const Param> row);
  int step(const OnRow& on_row);

  sqlite3* handle_;
  sqlite3_stmt* statement_;
  std::string sql_;
  // SQLite numbers the names $1, $2 by where they first appear, so "$2 ... $1" is turned: slots_[i] is the parameter
  // that stands at SQLite's place i + 1.
  std::vector<std::size_t> slots_;
  std::size_t parameters_ = 0;  // the highest N of $N
  bool reads_only_ = false;
  int code_ = 0;
};

}  // namespace patchbay::store::sqlite
