#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/error.hpp"
#include "store/connection.hpp"

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

// Opens the file, makes it when there is none, and sets it up for that use.
[[nodiscard]] Result<std::unique_ptr<Connection>> connect(const Settings& settings, Access access);

}  // namespace patchbay::store::sqlite
