#pragma once

#include <string>
#include <string_view>

#include "core/bytes.hpp"
#include "core/error.hpp"

namespace patchbay::vault {

// AES-256-GCM (NIST SP 800-38D) by OpenSSL, with a random nonce of 96 bits. Any thread.
inline constexpr std::size_t kKeyBytes = 32;
inline constexpr std::size_t kNonceBytes = 12;
inline constexpr std::size_t kTagBytes = 16;

// nonce | ciphertext | tag. key: 32 bytes. A key seals 2^32 times at most (SP 800-38D, 8.3): no host comes near.
[[nodiscard]] std::string encrypt(const Secret& key, std::string_view additional_data, std::string_view plain);
// Errc::denied: another key, other additional data, or changed.
[[nodiscard]] Result<Secret> decrypt(const Secret& key, std::string_view additional_data, std::string_view sealed);

}  // namespace patchbay::vault
