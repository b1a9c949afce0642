#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace patchbay {

// Raw bytes are carried in std::string: the libraries at both ends want char pointers.

[[nodiscard]] std::string to_hex(std::string_view bytes);                      // lower case
[[nodiscard]] std::optional<std::string> from_hex(std::string_view text);      // either case
[[nodiscard]] std::string to_base64(std::string_view bytes);                   // RFC 4648, padded
[[nodiscard]] std::string to_base64url(std::string_view bytes);                // RFC 4648 section 5, not padded
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);   // either alphabet, padded or not

// Does the comparison take the same time wherever they differ? Their lengths are no secret.
[[nodiscard]] bool equal_in_constant_time(std::string_view a, std::string_view b);

// From the kernel's generator.
[[nodiscard]] std::string random_bytes(std::size_t count);
// count random bytes in base64url: what tokens are made of (16 bytes are 22 characters).
[[nodiscard]] std::string random_token(std::size_t count = 24);

// Overwrites the bytes so that the compiler cannot leave it out, then empties.
void wipe(std::string& bytes);

// A secret value: wiped when it goes, never printed by accident. Any thread (immutable).
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept : value_(other.value_) { wipe(other.value_); }
  Secret& operator=(Secret other) noexcept {
    wipe(value_);
    value_ = other.value_;
    return *this;
  }
  ~Secret() { wipe(value_); }

  [[nodiscard]] std::string_view reveal() const { return value_; }  // the only way to the bytes: easy to search for
  [[nodiscard]] bool empty() const { return value_.empty(); }

 private:
  std::string value_;
};

}  // namespace patchbay
