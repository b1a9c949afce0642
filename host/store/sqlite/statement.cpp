#include "store/sqlite/statement.hpp"

#include <charconv>

#include <fmt/format.h>
#include <sqlite3.h>

namespace patchbay::store::sqlite {
namespace {

class StatementRow final : public Row {
 public:
  explicit StatementRow(sqlite3_stmt* statement) : statement_(statement) {}

  bool is_null(int column) const override { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  std::int64_t integer(int column) const override { return sqlite3_column_int64(statement_, column); }
  double real(int column) const override { return sqlite3_column_double(statement_, column); }
  std::string_view text(int column) const override { return bytes(sqlite3_column_text(statement_, column), column); }
  std::string_view blob(int column) const override { return bytes(sqlite3_column_blob(statement_, column), column); }

 private:
  std::string_view bytes(const void* data, int column) const {
    if (data == nullptr) return {};
    return {static_cast<const char*>(data), static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
  }

  sqlite3_stmt* statement_;
};

// Bytes are bound in place (SQLITE_STATIC): the caller's views outlive the call, and a body is not copied.
struct Binder {
  sqlite3_stmt* statement;
  int place;

  int operator()(std::nullptr_t) const { return sqlite3_bind_null(statement, place); }
  int operator()(std::int64_t value) const { return sqlite3_bind_int64(statement, place, value); }
  int operator()(double value) const { return sqlite3_bind_double(statement, place, value); }
  int operator()(std::string_view text) const {
    // A view of nothing may have no address, which SQLite would take for NULL.
    return sqlite3_bind_text64(statement, place, text.data() == nullptr ? "" : text.data(), text.size(), SQLITE_STATIC,
                               SQLITE_UTF8);
  }
  int operator()(const Blob& blob) const {
    return sqlite3_bind_blob64(statement, place, blob.bytes.data() == nullptr ? "" : blob.bytes.data(),
                               blob.bytes.size(), SQLITE_STATIC);
  }
};

Errc errc_of(int code) {
  switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_NOMEM:
      return Errc::exhausted;
    case SQLITE_CONSTRAINT:
      return Errc::conflict;
    case SQLITE_TOOBIG:
      return Errc::invalid;
    case SQLITE_INTERRUPT:
      return Errc::cancelled;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
    case SQLITE_PROTOCOL:
      return Errc::unavailable;
    default:
      return Errc::internal;
  }
}

}  // namespace

Error error_of(sqlite3* handle, int code, std::string_view what) {
  const char* reason = handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(code);
  if ((code & 0xff) == SQLITE_FULL) return {Errc::exhausted, fmt::format("{}: the disk is full", what)};
  return {errc_of(code), fmt::format("{}: {}", what, reason)};
}

bool is_busy(int code) { return (code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED; }

Result<std::unique_ptr<Statement>> Statement::prepare(sqlite3* handle, std::string_view sql, bool keep) {
  sqlite3_stmt* prepared = nullptr;
  const char* rest = nullptr;
  const int code = sqlite3_prepare_v3(handle, sql.data(), static_cast<int>(sql.size()),
                                      keep ? SQLITE_PREPARE_PERSISTENT : 0, &prepared, &rest);
  if (code != SQLITE_OK) return std::unexpected(error_of(handle, code, "wrong statement"));
  std::unique_ptr<Statement> statement(new Statement(handle, prepared, sql));
  if (prepared == nullptr) return fail(Errc::internal, "empty statement");
  const std::string_view left(rest, static_cast<std::size_t>(sql.data() + sql.size() - rest));
  if (left.find_first_not_of(" \t\r\n;") != std::string_view::npos) {
    return fail(Errc::internal, fmt::format("more than one statement: '{}'", sql));
  }
  if (auto read = statement->read_slots(); !read) return std::unexpected(read.error());
  return statement;
}

Statement::~Statement() { sqlite3_finalize(statement_); }

Result<> Statement::read_slots() {
  reads_only_ = sqlite3_stmt_readonly(statement_) != 0;
  const int places = sqlite3_bind_parameter_count(statement_);
  for (int place = 1; place <= places; ++place) {
    const char* name = sqlite3_bind_parameter_name(statement_, place);
    const std::string_view text = name != nullptr ? name : "?";
    std::size_t number = 0;
    const auto [end, wrong] = std::from_chars(text.data() + 1, text.data() + text.size(), number);
    if (text[0] != '$' || wrong != std::errc{} || end != text.data() + text.size() || number == 0) {
      return fail(Errc::internal, fmt::format("parameter {} of '{}' is not $1, $2, ...", text, sql_));
    }
    slots_.push_back(number - 1);
    parameters_ = std::max(parameters_, number);
  }
  return {};
}

bool Statement::in_use() const { return sqlite3_stmt_busy(statement_) != 0; }

Result<std::int64_t> Statement::run(std::size_t columns, std::span<const Param> params, const OnRow& on_row) {
  code_ = SQLITE_OK;
  // PostgreSQL insists on it, so SQLite does too.
  if (columns != parameters_ || (columns != 0 && params.size() % columns != 0) || (columns == 0 && !params.empty())) {
    return fail(Errc::internal, fmt::format("{} parameters in rows of {} for '{}', which takes {}", params.size(),
                                            columns, sql_, parameters_));
  }
  std::int64_t changed = 0;
  const std::size_t rows = columns == 0 ? 1 : params.size() / columns;
  for (std::size_t row = 0; row < rows; ++row) {
    code_ = bind(params.subspan(row * columns, columns));
    if (code_ == SQLITE_OK) code_ = step(on_row);
    if (code_ != SQLITE_DONE) {
      auto error = error_of(handle_, code_, "statement failed");
      sqlite3_reset(statement_);
      return std::unexpected(std::move(error));
    }
    if (!reads_only_) changed += sqlite3_changes64(handle_);
    sqlite3_reset(statement_);
  }
  return changed;
}

int Statement::bind(std::span<const Param> row) {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const int code = std::visit(Binder{statement_, static_cast<int>(i) + 1}, row[slots_[i]]);
    if (code != SQLITE_OK) return code;
  }
  return SQLITE_OK;
}

int Statement::step(const OnRow& on_row) {
  int code = sqlite3_step(statement_);
  const StatementRow row(statement_);
  while (code == SQLITE_ROW) {
    if (on_row) on_row(row);
    code = sqlite3_step(statement_);
  }
  // Extended codes are on, so this one says which kind of I/O error it was.
  return code;
}

}  // namespace patchbay::store::sqlite
