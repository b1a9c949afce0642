#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace patchbay::harness {

// The length of a complete HTTP/1.1 message at the front of bytes, and what the generator and the sink need of it.
// No validation: both talk to programs of ours only, and must cost little.
struct Message {
  std::size_t length = 0;  // with its body
  std::size_t head = 0;    // up to the body
  int status = 0;          // of a reply
  bool close = false;      // "Connection: close"
  std::string_view idempotency_key{};
};

// nullopt: not complete yet. ended: the peer closed, so a reply without a length is complete.
[[nodiscard]] std::optional<Message> scan_message(std::string_view bytes, bool ended = false);

}  // namespace patchbay::harness
