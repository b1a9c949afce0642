#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "store/database.hpp"

namespace patchbay::test {

// Where a test keeps one database; gone with it.
class Place {
 public:
  virtual ~Place() = default;
  [[nodiscard]] virtual std::string url() const = 0;
  // Rows of one text column that describe every table and index.
  [[nodiscard]] virtual std::string_view schema_query() const = 0;

  [[nodiscard]] std::unique_ptr<store::Database> open() const;
};

// One driver of the Database port. Another one is one line in adapters().
struct Adapter {
  std::string name;
  std::function<std::unique_ptr<Place>()> make;
};
[[nodiscard]] std::vector<Adapter> adapters();

inline void PrintTo(const Adapter& adapter, std::ostream* out) { *out << adapter.name; }

}  // namespace patchbay::test
