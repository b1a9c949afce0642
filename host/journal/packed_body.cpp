#include "journal/packed_body.hpp"

#include <fmt/format.h>
#include <lz4.h>

namespace patchbay::journal {
namespace {

constexpr std::size_t kWorthPacking = 256;  // bytes; below it a page of the database is not filled either way
constexpr std::int64_t kLargest = LZ4_MAX_INPUT_SIZE;

}  // namespace

PackedBody::PackedBody(std::string_view body) : body_(body) {
  if (body.size() < kWorthPacking || body.size() > kLargest) return;
  packed_.resize_and_overwrite(body.size() - body.size() / 8, [body](char* to, std::size_t room) {
    // 0 where it does not fit.
    return static_cast<std::size_t>(
        LZ4_compress_default(body.data(), to, static_cast<int>(body.size()), static_cast<int>(room)));
  });
}

Result<std::string> unpack_body(std::string_view stored, std::int64_t size) {
  if (size == static_cast<std::int64_t>(stored.size())) return std::string(stored);
  std::string body;
  std::int64_t got = -1;
  if (size > static_cast<std::int64_t>(stored.size()) && size <= kLargest) {
    body.resize_and_overwrite(static_cast<std::size_t>(size), [&](char* to, std::size_t room) {
      got = LZ4_decompress_safe(stored.data(), to, static_cast<int>(stored.size()), static_cast<int>(room));
      return got == size ? room : 0;
    });
  }
  if (got < 0 || got != size) {
    return fail(Errc::internal, fmt::format("a stored body is damaged: {} bytes are no packed form of {} bytes",
                                            stored.size(), size));
  }
  return body;
}

}  // namespace patchbay::journal
