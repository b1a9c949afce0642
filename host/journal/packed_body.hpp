#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.hpp"

namespace patchbay::journal {

// A delivery's body as the database keeps it: one LZ4 block where that saves at least an eighth, else as it came. Its
// columns are `body` and `body_size`, the size before packing: a stored body that is shorter than that is packed.
class PackedBody {
 public:
  PackedBody() = default;
  explicit PackedBody(std::string_view body);  // views body unless it packs it

  [[nodiscard]] std::string_view stored() const { return packed_.empty() ? body_ : std::string_view(packed_); }
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(body_.size()); }

 private:
  std::string_view body_;
  std::string packed_;
};

// The body that was packed. Errc::internal: the database was damaged or somebody else wrote it.
Result<std::string> unpack_body(std::string_view stored, std::int64_t size);

}  // namespace patchbay::journal
