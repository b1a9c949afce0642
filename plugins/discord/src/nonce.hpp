#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace patchbay::discord {

// 25 hexadecimal digits, Discord's longest nonce, that depend on the key alone: the first 100 bits of its FNV-1a 128.
// No secret: two keys only must not meet by accident.
[[nodiscard]] inline std::string nonce_of(std::string_view key) {
  // draft-eastlake-fnv: offset basis and prime (2^88 + 0x13b) of 128 bits, in halves of 64.
  std::uint64_t high = 0x6c62272e07bb0142;
  std::uint64_t low = 0x62b821756295c58d;
  for (const char c : key) {
    low ^= static_cast<unsigned char>(c);
    // (high:low) * (2^88 + 0x13b), modulo 2^128
    const std::uint64_t bottom = (low & 0xffffffff) * 0x13b;
    const std::uint64_t top = (low >> 32) * 0x13b + (bottom >> 32);
    high = high * 0x13b + (top >> 32) + (low << 24);
    low = (top << 32) | (bottom & 0xffffffff);
  }
  constexpr char kHex[] = "0123456789abcdef";
  std::string nonce(25, '0');
  for (std::size_t i = 0; i < nonce.size(); ++i) {
    const auto word = i < 16 ? high : low;
    nonce[i] = kHex[word >> (60 - 4 * (i % 16)) & 15];
  }
  return nonce;
}

}  // namespace patchbay::discord
