#include "contract/places.hpp"

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

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

}  // namespace

std::unique_ptr<store::Database> Place::open() const {
  auto opened = store::open(url());
  if (!opened) throw std::runtime_error(opened.error().message);
  return *std::move(opened);
}

std::vector<Adapter> adapters() {
  return {{"sqlite", [] { return std::make_unique<SqlitePlace>(); }}};
}

}  // namespace patchbay::test
