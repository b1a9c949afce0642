#include "contract/places.hpp"

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "support/postgresql_server.hpp"

namespace patchbay::test {
namespace {

// A file in a folder of its own, with the full durability of production.
class SqlitePlace final : public Place {
 public:
  SqlitePlace() {
    auto pattern = (std::filesystem::temp_directory_path() / "patchbay-contract-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    folder_ = pattern;
  }
  ~SqlitePlace() override { std::filesystem::remove_all(folder_); }

  std::string url() const override { return "sqlite:" + (folder_ / "patchbay.db").string(); }
  std::string_view schema_query() const override {
    return "SELECT type || ' ' || name || ' ' || COALESCE(sql, '') FROM sqlite_master ORDER BY 1";
  }

 private:
  std::filesystem::path folder_;
};

// A database of its own in the server of this process.
class PostgresqlPlace final : public Place {
 public:
  PostgresqlPlace() : url_(support::PostgresqlServer::shared().make_database()) {}
  ~PostgresqlPlace() override { support::PostgresqlServer::shared().drop_database(url_); }

  std::string url() const override { return url_; }
  std::string_view schema_query() const override {
    return "SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || COALESCE(collation_name, '') "
           "FROM information_schema.columns WHERE table_schema = 'public' UNION ALL "
           "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' UNION ALL "
           "SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace "
           "ORDER BY 1";
  }

 private:
  std::string url_;
};

}  // namespace

std::unique_ptr<store::Database> Place::open() const {
  auto opened = store::open(url());
  if (!opened) throw std::runtime_error(opened.error().message);
  return *std::move(opened);
}

std::vector<Adapter> adapters() {
  return {{"sqlite", [] { return std::make_unique<SqlitePlace>(); }}, {"postgresql", [] { return std::make_unique<PostgresqlPlace>(); }}};
}

}  // namespace patchbay::test
