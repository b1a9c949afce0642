#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <tuple>

#include "core/bytes.hpp"
#include "core/error.hpp"

namespace patchbay::vault {

// The file that a key ring is kept in. No message about it ever holds a key.
struct KeyFile {
  std::string path;
  // given: by the service manager or the container, who answer for who may read it; it is never written to.
  enum class Access { own, given } access = Access::own;
};

// Changes with each replacement of the file.
using FileVersion = std::tuple<std::uint64_t, std::int64_t, std::int64_t>;  // inode, time of the last change in ns, size
[[nodiscard]] FileVersion version_of(const KeyFile& file);                   // zeros: it is not there

struct KeyText {
  Secret text;
  FileVersion version;
};

// The whole file, after a look at who else may read it. Errc::not_found: no such file, and how to make one; invalid: it can
// be read by others, or is no regular file of up to 64 KiB.
[[nodiscard]] Result<KeyText> read_key_file(const KeyFile& file);
// Errc::conflict: there is one. A key is never replaced, for what it sealed could not be read any more.
[[nodiscard]] Result<> create_key_file(const KeyFile& file, const Secret& text);
// What change makes of the text takes its place at once and durably; two at the same time follow each other.
// Errc::conflict: the file is a given one.
[[nodiscard]] Result<> change_key_file(const KeyFile& file, const std::function<Result<Secret>(std::string_view)>& change);

}  // namespace patchbay::vault
