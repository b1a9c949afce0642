#pragma once

#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "support/postgresql_server.hpp"

namespace patchbay::support {

// Where a test keeps its database: SQLite, or, with PATCHBAY_TEST_DATABASE=postgresql, a new database in the server of this
// process. The same tests run on both.
class TestDatabase {
 public:
  explicit TestDatabase(std::string sqlite_url = "sqlite::memory:") : url_(std::move(sqlite_url)) {
    const char* wanted = std::getenv("PATCHBAY_TEST_DATABASE");
    on_server_ = wanted != nullptr && std::string_view(wanted) == "postgresql";
    if (on_server_) url_ = PostgresqlServer::shared().make_database();
  }
  ~TestDatabase() {
    if (on_server_) PostgresqlServer::shared().drop_database(url_);
  }
  TestDatabase(const TestDatabase&) = delete;
  TestDatabase& operator=(const TestDatabase&) = delete;

  [[nodiscard]] const std::string& url() const { return url_; }

 private:
  std::string url_;
  bool on_server_ = false;
};

}  // namespace patchbay::support
