#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

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

// A secret value in memory of its own kind (secret_memory.hpp): wiped when it goes, not in core dumps, never printed by
// accident. Any thread (immutable).
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value);  // which is wiped: pass a string that nobody else needs
  Secret(const Secret& other);
  Secret(Secret&& other) noexcept : bytes_(std::exchange(other.bytes_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Secret& operator=(Secret other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Secret();

  // size bytes that fill(char*) writes: a secret that was never anywhere else.
  template <class Fill>
  [[nodiscard]] static Secret filled(std::size_t size, Fill fill) {
    Secret made;
    made.reserve(size);
    fill(made.bytes_);
    return made;
  }
  [[nodiscard]] static Secret random(std::size_t size);  // from the kernel's generator

  // The only way to the bytes: easy to search for. A zero stands behind them.
  [[nodiscard]] std::string_view reveal() const { return bytes_ == nullptr ? std::string_view("") : std::string_view(bytes_, size_); }
  [[nodiscard]] bool empty() const { return size_ == 0; }

 private:
  void reserve(std::size_t size);

  char* bytes_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace patchbay
