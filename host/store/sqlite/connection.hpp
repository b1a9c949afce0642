#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/error.hpp"
#include "store/sqlite/statement.hpp"

namespace patchbay::store::sqlite {

struct Settings {
  std::string path;
  bool durable = true;  // false: the file goes with the process anyway
  std::int64_t busy_timeout_ms = 5000;
  // Measured by tests/contract/store_bench (host/store/README.md has the table).
  int page_bytes = 4096;
  int writer_cache_kib = 6144;
  int reader_cache_kib = 1024;
  int checkpoint_pages = 4000;
};

enum class Mode { write, read };

// One connection to a database file, with its prepared statements. Used by one thread at a time.
class Connection {
 public:
  static Result<std::unique_ptr<Connection>> create(const Settings& settings, Mode mode);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // As Transaction has them; retry says that the statement may succeed when the transaction is run again.
  Result<std::int64_t> run(std::string_view sql, std::size_t columns, std::span<const Param> params,
                           const OnRow& on_row, bool& retry);
  // Several statements, without parameters. A transaction that they leave open by failing is rolled back.
  Result<> run_script(std::string_view sql);
  // BEGIN, COMMIT and their like. retry as above.
  Result<> control(std::string_view sql, bool& retry);
  void roll_back();  // when there is something to roll back: SQLite does it by itself after some errors

 private:
  // By the text's address: callers pass literals. The text itself is compared too, so a string that was put where
  // another one had been is only slower.
  struct Key {
    const char* data;
    std::size_t size;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept {
      return std::hash<const char*>{}(key.data) ^ (key.size * 0x9e3779b97f4a7c15U);
    }
  };

  explicit Connection(sqlite3* handle) : handle_(handle) {}
  Result<> configure(const Settings& settings, Mode mode);
  Result<> use_wal();
  Result<Statement*> kept(std::string_view sql);

  sqlite3* handle_;
  std::unordered_map<Key, std::unique_ptr<Statement>, KeyHash> statements_;
};

}  // namespace patchbay::store::sqlite
