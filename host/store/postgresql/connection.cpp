#include "store/postgresql/connection.hpp"

#include <array>
#include <bit>
#include <charconv>
#include <chrono>
#include <cstring>
#include <optional>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>
#include <libpq-fe.h>
#include <pqxx/pqxx>

namespace patchbay::store::postgresql {
namespace {

// Rows that are under way at once in one batch.
constexpr std::size_t kRowsAtOnce = 500;

constexpr std::string_view kAnnounce = "NOTIFY patchbay";

// libpqxx 6.4 makes and keeps the connection. It has neither pipelines nor parameters without a copy, so statements go over
// it with libpq: this policy is where libpqxx hands it out.
class RememberingPolicy : public pqxx::connectionpolicy {
 public:
  using connectionpolicy::connectionpolicy;
  handle do_startconnect(handle original) override {
    made = original != nullptr ? original : normalconnect(nullptr);
    if (PQstatus(made) != CONNECTION_OK) throw pqxx::broken_connection(PQerrorMessage(made));
    return made;
  }
  static thread_local PGconn* made;  // by the last connect of this thread
};
thread_local PGconn* RememberingPolicy::made = nullptr;
using PqxxConnection = pqxx::basic_connection_base<RememberingPolicy>;

struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultPtr = std::unique_ptr<PGresult, Clear>;

// pg_type.dat of PostgreSQL 15; these numbers never change.
enum Oid : unsigned { kBool = 16, kBytea = 17, kInt8 = 20, kInt2 = 21, kInt4 = 23, kFloat4 = 700, kFloat8 = 701, kNumeric = 1700 };

template <class Number>
Number big_endian(const char* bytes) {
  Number value = 0;
  for (std::size_t i = 0; i < sizeof(Number); ++i) value = static_cast<Number>(value << 8 | static_cast<unsigned char>(bytes[i]));
  return value;
}

// The whole part of a numeric: what SUM() makes of BIGINT. (utils/adt/numeric.c: ndigits, weight, sign, dscale, then
// digits of base 10,000.)
std::int64_t whole_numeric(const char* bytes) {
  const auto digits = static_cast<std::int16_t>(big_endian<std::uint16_t>(bytes));
  const auto weight = static_cast<std::int16_t>(big_endian<std::uint16_t>(bytes + 2));
  const bool negative = big_endian<std::uint16_t>(bytes + 4) == 0x4000;
  std::int64_t value = 0;
  for (int i = 0; i <= weight; ++i) value = value * 10'000 + (i < digits ? big_endian<std::uint16_t>(bytes + 8 + 2 * i) : 0);
  return negative ? -value : value;
}

class ResultRow final : public Row {
 public:
  ResultRow(const PGresult* result, int row) : result_(result), row_(row) {}

  bool is_null(int column) const override { return PQgetisnull(result_, row_, column) != 0; }
  std::int64_t integer(int column) const override {
    if (is_null(column)) return 0;
    const char* bytes = PQgetvalue(result_, row_, column);
    switch (PQftype(result_, column)) {
      case kInt8:
        return static_cast<std::int64_t>(big_endian<std::uint64_t>(bytes));
      case kInt4:
        return static_cast<std::int32_t>(big_endian<std::uint32_t>(bytes));
      case kInt2:
        return static_cast<std::int16_t>(big_endian<std::uint16_t>(bytes));
      case kBool:
        return *bytes;
      case kNumeric:
        return whole_numeric(bytes);
      case kFloat4:
      case kFloat8:
        return static_cast<std::int64_t>(real(column));
      default:
        return 0;
    }
  }
  double real(int column) const override {
    if (is_null(column)) return 0;
    const char* bytes = PQgetvalue(result_, row_, column);
    switch (PQftype(result_, column)) {
      case kFloat8:
        return std::bit_cast<double>(big_endian<std::uint64_t>(bytes));
      case kFloat4:
        return std::bit_cast<float>(big_endian<std::uint32_t>(bytes));
      default:
        return static_cast<double>(integer(column));
    }
  }
  std::string_view text(int column) const override { return blob(column); }
  std::string_view blob(int column) const override {
    return {PQgetvalue(result_, row_, column), static_cast<std::size_t>(PQgetlength(result_, row_, column))};
  }

 private:
  const PGresult* result_;
  int row_;
};

// One row of parameters as libpq wants it. Text and bytes go as they are (binary format), numbers in decimal, whose type
// the server finds out itself.
class Values {
 public:
  void set(std::span<const Param> params) {
    numbers_.resize(params.size());
    pointers.clear();
    lengths.clear();
    formats.clear();
    for (std::size_t i = 0; i < params.size(); ++i) std::visit([&](const auto& value) { add(i, value); }, params[i]);
  }
  std::vector<const char*> pointers;
  std::vector<int> lengths;
  std::vector<int> formats;

 private:
  void add(std::size_t, std::nullptr_t) { add(nullptr, 0, 0); }
  void add(std::size_t at, std::int64_t value) { add_number(at, value); }
  void add(std::size_t at, double value) { add_number(at, value); }
  void add(std::size_t, std::string_view text) { add(text.data() == nullptr ? "" : text.data(), text.size(), 1); }
  void add(std::size_t, const Blob& blob) { add(blob.bytes.data() == nullptr ? "" : blob.bytes.data(), blob.bytes.size(), 1); }
  template <class Number>
  void add_number(std::size_t at, Number value) {
    auto& text = numbers_[at];
    *std::to_chars(text.data(), text.data() + text.size() - 1, value).ptr = '\0';
    add(text.data(), 0, 0);
  }
  void add(const char* pointer, std::size_t length, int format) {
    pointers.push_back(pointer);
    lengths.push_back(static_cast<int>(length));
    formats.push_back(format);
  }
  std::vector<std::array<char, 32>> numbers_;
};

struct Failure {
  Error error;
  Retry retry;
};

// Appendix A of the manual: classes of SQLSTATE.
Failure failure_of(std::string_view state, std::string message) {
  const auto starts = [state](std::string_view with) { return state.starts_with(with); };
  if (starts("23")) return {{Errc::conflict, std::move(message)}, Retry::no};
  if (state == "40001" || state == "40P01" || state == "55P03") return {{Errc::unavailable, std::move(message)}, Retry::again};
  if (state == "08P01") return {{Errc::internal, std::move(message)}, Retry::no};
  if (starts("08") || starts("57P") || state == "53300" || state == "25P03") return {{Errc::unavailable, std::move(message)}, Retry::reconnect};
  if (starts("53")) return {{Errc::exhausted, std::move(message)}, Retry::no};
  if (starts("58")) return {{Errc::unavailable, std::move(message)}, Retry::no};
  if (state == "57014") return {{Errc::cancelled, std::move(message)}, Retry::no};
  if (starts("22")) return {{Errc::invalid, std::move(message)}, Retry::no};
  return {{Errc::internal, std::move(message)}, Retry::no};
}

// "/*postgresql: X*/" stands for X.
std::string own_words(std::string_view sql) {
  constexpr std::string_view kMark = "/*postgresql: ";
  std::string words(sql);
  for (auto at = words.find(kMark); at != std::string::npos; at = words.find(kMark, at)) {
    words.erase(words.find("*/", at), 2);
    words.erase(at, kMark.size());
  }
  return words;
}

std::string first_line(const char* text) {
  std::string_view line(text == nullptr ? "" : text);
  return std::string(line.substr(0, line.find('\n')));
}

// One without a SQLSTATE is libpq's own: the connection is broken.
Failure failure_of(const PGresult* result) {
  const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  return failure_of(state != nullptr ? state : "08006", message != nullptr ? message : first_line(PQresultErrorMessage(result)));
}

class PgConnection final : public Connection {
 public:
  explicit PgConnection(const std::string& url) : pqxx_(url), quiet_(pqxx_), raw_(RememberingPolicy::made) {}

  Result<> configure() {
    auto retry = Retry::no;
    // on: COMMIT returns when it is on the disk, which is the promise to the sender; stricter settings of the server stay.
    // A process that stops in the middle of a transaction must not hold its locks for ever.
    if (auto done = run_script("SET client_min_messages = warning; SET client_encoding = 'UTF8'; "
                               "SET idle_in_transaction_session_timeout = '5s'; SELECT set_config('synchronous_commit', CASE "
                               "current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE "
                               "current_setting('synchronous_commit') END, false)",
                               retry);
        !done) {
      return done;
    }
    const char* encoding = PQparameterStatus(raw_, "server_encoding");
    if (encoding == nullptr || std::string_view(encoding) != "UTF8") {
      return fail(Errc::invalid, fmt::format("the database's encoding is {}: create it with ENCODING 'UTF8'", encoding == nullptr ? "unknown" : encoding));
    }
    return {};
  }

  // Goes out with the first statement.
  Result<> begin(Access access, Retry&) override {
    begin_ = access == Access::write ? "BEGIN ISOLATION LEVEL REPEATABLE READ" : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    return {};
  }

  Result<std::int64_t> run(std::string_view sql, std::size_t columns, std::span<const Param> params, const OnRow& on_row,
                           Retry& retry) override {
    retry = Retry::no;
    if (columns == 0) return run_rows(sql, 0, params, on_row, retry);
    std::int64_t changed = 0;
    for (std::size_t first = 0; first < params.size(); first += kRowsAtOnce * columns) {
      auto done = run_rows(sql, columns, params.subspan(first, std::min(kRowsAtOnce * columns, params.size() - first)), on_row, retry);
      if (!done) return done;
      changed += *done;
    }
    return changed;
  }

  Result<> announce(Retry& retry) override {
    auto done = run(kAnnounce, 0, {}, {}, retry);
    if (!done) return std::unexpected(done.error());
    return {};
  }

  Result<> commit(Retry& retry) override {
    if (begin_ != nullptr) {
      begin_ = nullptr;
      return {};
    }
    send_command("COMMIT");
    auto results = receive(1, retry);
    if (!results) {
      if (retry == Retry::reconnect) results.error().message += " (it is not known whether the transaction was committed)";
      return std::unexpected(results.error());
    }
    if (std::string_view(PQcmdStatus(results->front().get())) != "COMMIT") return fail(Errc::internal, "the server rolled the transaction back");
    return {};
  }

  void roll_back() override {
    begin_ = nullptr;
    if (PQstatus(raw_) != CONNECTION_OK || PQtransactionStatus(raw_) == PQTRANS_IDLE) return;
    send_command("ROLLBACK");
    auto ignored = Retry::no;
    (void)receive(1, ignored);
  }

  Result<> run_script(std::string_view sql, Retry& retry) override {
    retry = Retry::no;
    if (PQstatus(raw_) != CONNECTION_OK) return broken(retry);  // libpqxx would connect anew behind our back
    PQexitPipelineMode(raw_);
    const ResultPtr result(PQexec(raw_, std::string(sql).c_str()));  // libpqxx's exec() leaks this when the connection breaks
    Result<> done;
    const auto status = PQresultStatus(result.get());
    if (PQstatus(raw_) != CONNECTION_OK) {
      done = broken(retry);
    } else if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY) {
      auto failure = failure_of(result.get());
      retry = failure.retry;
      done = std::unexpected(std::move(failure.error));
    }
    PQenterPipelineMode(raw_);
    if (!done) roll_back();
    return done;
  }

 private:
  struct Prepared {
    std::string sql;
    std::string name;
  };

  // The statement's name; prepares it, in the pipeline, when it is new.
  const Prepared& prepared(std::string_view sql, std::size_t& expected) {
    const StatementKey key(sql);
    if (const auto found = statements_.find(key); found != statements_.end()) {
      if (found->second.sql == sql) return found->second;
      send_command(("DEALLOCATE " + found->second.name).c_str());
      ++expected;
    }
    if (statements_.size() >= kMostStatements) {
      statements_.clear();
      send_command("DEALLOCATE ALL");
      ++expected;
    }
    auto& statement = statements_[key] = {std::string(sql), fmt::format("s{}", ++last_name_)};
    PQsendPrepare(raw_, statement.name.c_str(), own_words(sql).c_str(), 0, nullptr);
    ++expected;
    return statement;
  }

  Result<std::int64_t> run_rows(std::string_view sql, std::size_t columns, std::span<const Param> params, const OnRow& on_row, Retry& retry) {
    std::size_t expected = 0;
    if (begin_ != nullptr) {
      send_command(std::exchange(begin_, nullptr));
      ++expected;
    }
    const auto before = expected;
    const auto& statement = prepared(sql, expected);
    const bool is_new = expected > before;
    const std::size_t rows = columns == 0 ? 1 : params.size() / columns;
    for (std::size_t row = 0; row < rows; ++row) {
      values_.set(params.subspan(row * columns, columns));
      PQsendQueryPrepared(raw_, statement.name.c_str(), static_cast<int>(columns), values_.pointers.data(), values_.lengths.data(),
                          values_.formats.data(), 1);
    }
    auto results = receive(expected + rows, retry);
    if (!results) {
      if (is_new) statements_.erase(StatementKey(sql));  // it may not have come to be
      return std::unexpected(results.error());
    }
    // All has been received: on_row may run statements itself.
    std::int64_t changed = 0;
    for (std::size_t i = expected; i < results->size(); ++i) {
      const PGresult* result = (*results)[i].get();
      changed += changed_by(result);
      if (!on_row) continue;
      for (int row = 0; row < PQntuples(result); ++row) on_row(ResultRow(result, row));
    }
    return changed;
  }

  static std::int64_t changed_by(const PGresult* result) {
    // A SELECT's tag counts rows, too, but it changes none.
    if (std::string_view(PQcmdStatus(const_cast<PGresult*>(result))).starts_with("SELECT")) return 0;
    const std::string_view count(PQcmdTuples(const_cast<PGresult*>(result)));
    std::int64_t rows = 0;
    std::from_chars(count.data(), count.data() + count.size(), rows);
    return rows;
  }

  void send_command(const char* sql) { PQsendQueryParams(raw_, sql, 0, nullptr, nullptr, nullptr, nullptr, 1); }

  // Sends what waits and takes so many results, which are the answers to it in order. The first that failed is the error.
  Result<std::vector<ResultPtr>> receive(std::size_t expected, Retry& retry) {
    retry = Retry::no;
    std::vector<ResultPtr> results;
    results.reserve(expected);
    std::optional<Failure> failure;
    if (PQpipelineSync(raw_) == 0) return broken(retry);
    while (true) {
      ResultPtr result(PQgetResult(raw_));
      if (!result) {
        if (PQstatus(raw_) != CONNECTION_OK) return broken(retry);
        continue;  // the end of one answer
      }
      const auto status = PQresultStatus(result.get());
      if (status == PGRES_PIPELINE_SYNC) break;
      if (status == PGRES_FATAL_ERROR && !failure) failure = failure_of(result.get());
      results.push_back(std::move(result));
    }
    if (PQstatus(raw_) != CONNECTION_OK) return broken(retry);
    if (failure) {
      retry = failure->retry;
      return std::unexpected(std::move(failure->error));
    }
    if (results.size() != expected) return fail(Errc::internal, fmt::format("the server gave {} answers to {} statements", results.size(), expected));
    return results;
  }

  std::unexpected<Error> broken(Retry& retry) {
    retry = Retry::reconnect;
    auto message = first_line(PQerrorMessage(raw_));
    return fail(Errc::unavailable, message.empty() ? "the connection to the database is broken" : std::move(message));
  }

  PqxxConnection pqxx_;
  pqxx::quiet_errorhandler quiet_;
  PGconn* raw_;  // of pqxx_
  const char* begin_ = nullptr;  // that has not gone out yet
  std::unordered_map<StatementKey, Prepared, StatementKeyHash> statements_;
  std::uint64_t last_name_ = 0;
  Values values_;
};

}  // namespace

// What the URL says itself counts: libpq takes the last of two.
std::string with_defaults(const std::string& url) {
  constexpr std::string_view kDefaults =
      "connect_timeout=10&keepalives_idle=30&keepalives_interval=10&keepalives_count=3&tcp_user_timeout=30000&fallback_application_name=patchbay";
  const auto query = url.find('?');
  if (query == std::string::npos) return fmt::format("{}?{}", url, kDefaults);
  return fmt::format("{}?{}&{}", url.substr(0, query), kDefaults, url.substr(query + 1));
}

Result<std::unique_ptr<Connection>> connect(const std::string& url) {
  const auto whole = with_defaults(url);
  // libpq's own words about a URL repeat it, with its password.
  const std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> parsed(PQconninfoParse(whole.c_str(), nullptr), PQconninfoFree);
  if (!parsed) {
    return fail(Errc::invalid, "the database URL cannot be read: write postgresql://user:password@host:port/name?options, and what is "
                               "special in it percent-encoded");
  }
  try {
    auto connection = std::make_unique<PgConnection>(whole);
    if (auto configured = connection->configure(); !configured) return std::unexpected(configured.error());
    return connection;
  } catch (const std::exception& error) {
    return fail(Errc::unavailable, "the database cannot be reached: " + first_line(error.what()));
  }
}

}  // namespace patchbay::store::postgresql
