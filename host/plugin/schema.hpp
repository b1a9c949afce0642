#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"

namespace patchbay::plugin {

// A compiled JSON Schema (draft 7). Immutable, any thread.
class Schema {
 public:
  // Errc::invalid: not a schema.
  [[nodiscard]] static Result<Schema> compile(std::string_view schema_json);
  ~Schema();
  Schema(Schema&&) noexcept;

  // The faults of a JSON text, each with its JSON Pointer; empty: it is valid.
  [[nodiscard]] std::vector<std::string> check(std::string_view json) const;

 private:
  struct Impl;
  explicit Schema(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

[[nodiscard]] Result<> check_schema(std::string_view schema_json);

}  // namespace patchbay::plugin
