#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace patchbay::vault {

// What stands in front of a sealed secret. All views are into the envelope.
//   format 1: 1 | length of the key id | key id | nonce | ciphertext | tag           (no data key; opened, not made)
//   format 2: 2 | number of recipients | recipients | nonce | ciphertext | tag
//   recipient: length (1 byte) and provider | length (1 byte) and key id | length (2 bytes, big end first) and wrapped data key
struct Recipient {
  std::string_view provider;  // "local", "transit", "pkcs11"
  std::string_view key_id;
  std::string_view wrapped;  // empty in format 1
};

struct Envelope {
  int format = 0;
  std::vector<Recipient> recipients;
  std::string_view head;    // all before the nonce: part of what the tag covers
  std::string_view sealed;  // nonce | ciphertext | tag
};

inline constexpr std::size_t kMostRecipients = 8;

// nullopt: neither format, cut short, or with more recipients than there can be.
[[nodiscard]] std::optional<Envelope> read_envelope(std::string_view bytes);
// The head of format 2. Names of up to 255 bytes, wrapped keys of up to 65,535.
[[nodiscard]] std::string write_head(const std::vector<Recipient>& recipients);

}  // namespace patchbay::vault
