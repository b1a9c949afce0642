#include "core/id.hpp"

#include <cstring>
#include <mutex>
#include <utility>

#include <sodium.h>

namespace patchbay {
namespace {

// The random part of the ids of one millisecond is a counter that starts at a random number, so that they grow.
struct Sequence {
  std::mutex mutex;
  std::int64_t millisecond = 0;           // guarded by mutex
  std::array<std::uint8_t, 10> random{};  // guarded by mutex
  // Random numbers in stock, guarded by mutex: one system call for many ids.
  std::array<std::uint16_t, 256> steps{};
  std::size_t left = 0;

  std::uint16_t step() {
    if (left == 0) {
      randombytes_buf(steps.data(), sizeof steps);
      left = steps.size();
    }
    return std::exchange(steps[--left], std::uint16_t{0});
  }
};

Sequence& sequence() {
  static Sequence instance;
  return instance;
}

int nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::array<int, 16> kOffsets{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};

}  // namespace

Uuid Uuid::make(Timestamp now) {
  Uuid id;
  auto& state = sequence();
  const std::lock_guard lock(state.mutex);
  const auto millisecond = millis(now);
  if (millisecond > state.millisecond) {
    state.millisecond = millisecond;
    randombytes_buf(state.random.data(), state.random.size());
    state.random[2] &= 0x3f;  // the counter's upper bits start low, so that it does not run over
  } else {
    // Count up by a random step from the last byte on: unguessable neighbours, strictly growing.
    std::uint32_t carry = 1U + state.step();
    for (std::size_t i = state.random.size(); i-- > 0 && carry != 0;) {
      carry += state.random[i];
      state.random[i] = static_cast<std::uint8_t>(carry);
      carry >>= 8;
    }
    if (carry != 0) ++state.millisecond;
  }
  for (int i = 0; i < 6; ++i) id.bytes_[i] = static_cast<std::uint8_t>(state.millisecond >> (40 - 8 * i));
  // 74 random bits around the version (4 bits) and the variant (2 bits).
  std::memcpy(&id.bytes_[6], state.random.data(), 10);
  const std::uint8_t overflow = static_cast<std::uint8_t>(state.random[2] >> 6);
  id.bytes_[7] = static_cast<std::uint8_t>(state.random[1] << 2 | overflow);
  id.bytes_[6] = static_cast<std::uint8_t>(0x70 | (state.random[0] << 2 & 0x0c) | state.random[1] >> 6);
  id.bytes_[8] = static_cast<std::uint8_t>(0x80 | (state.random[2] & 0x3f));
  return id;
}

std::optional<Uuid> Uuid::parse(std::string_view text) {
  if (text.size() != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-') return std::nullopt;
  Uuid id;
  for (std::size_t i = 0; i < 16; ++i) {
    const int high = nibble(text[kOffsets[i]]);
    const int low = nibble(text[kOffsets[i] + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    id.bytes_[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return id;
}

std::string Uuid::to_string() const {
  std::string text(36, '-');
  for (std::size_t i = 0; i < 16; ++i) {
    text[kOffsets[i]] = kHex[bytes_[i] >> 4];
    text[kOffsets[i] + 1] = kHex[bytes_[i] & 15];
  }
  return text;
}

}  // namespace patchbay
