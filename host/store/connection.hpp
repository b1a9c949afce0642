#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "core/error.hpp"
#include "store/database.hpp"

namespace patchbay::store {

enum class Access { read, write };

// What may be done about a transaction that failed.
enum class Retry {
  no,
  again,      // others were in the way: run it again
  reconnect,  // the connection is broken: run it again on another one
};

// One connection to a database, with its prepared statements: what a driver has to have. Used by one thread at a time.
class Connection {
 public:
  virtual ~Connection() = default;

  virtual Result<> begin(Access access, Retry& retry) = 0;
  // As Transaction has them.
  virtual Result<std::int64_t> run(std::string_view sql, std::size_t columns, std::span<const Param> params, const OnRow& on_row,
                                   Retry& retry) = 0;
  virtual Result<> announce(Retry& retry) = 0;  // with the commit
  // Retry::reconnect: nobody knows whether it was committed.
  virtual Result<> commit(Retry& retry) = 0;
  virtual void roll_back() = 0;  // when there is something to roll back
  // Several statements, without parameters. A transaction that they leave open by failing is rolled back.
  virtual Result<> run_script(std::string_view sql, Retry& retry) = 0;
};

// Prepared statements are kept by the address of their text: callers pass literals. The text is compared too, so a string
// that was put where another one had been is only slower.
struct StatementKey {
  const char* data;
  std::size_t size;
  explicit StatementKey(std::string_view sql) : data(sql.data()), size(sql.size()) {}
  bool operator==(const StatementKey&) const = default;
};
struct StatementKeyHash {
  std::size_t operator()(const StatementKey& key) const noexcept {
    return std::hash<const char*>{}(key.data) ^ (key.size * 0x9e3779b97f4a7c15U);
  }
};
// Far more than the program has; a caller that builds its SQL cannot make the memory grow without end.
inline constexpr std::size_t kMostStatements = 400;

}  // namespace patchbay::store
