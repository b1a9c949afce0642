#pragma once

#include <cstddef>
#include <mutex>
#include <string>

#include "core/bytes.hpp"
#include "core/error.hpp"

namespace patchbay::identity {

// Argon2id (RFC 9106) with a salt of its own for each hash. Any thread; calls take the CPU and the memory they are set
// to.
class Passwords {
 public:
  Passwords(std::size_t memory_kib, int passes);

  // Errc::invalid: not 8 to 128 characters of UTF-8.
  [[nodiscard]] static Result<> check(const Secret& password);
  // Errc::exhausted: the memory cannot be had now.
  [[nodiscard]] Result<std::string> hash(const Secret& password) const;
  [[nodiscard]] bool verify(const std::string& hash, const Secret& password) const;
  // Was it made with other settings than these?
  [[nodiscard]] bool is_outdated(const std::string& hash) const;
  // The hash of a password that nobody knows, to spend the same time on where there is none. Made once, when first
  // asked.
  [[nodiscard]] const std::string& dummy() const;

 private:
  std::size_t memory_bytes_;
  unsigned long long passes_;
  mutable std::once_flag dummy_made_;
  mutable std::string dummy_;
};

}  // namespace patchbay::identity
