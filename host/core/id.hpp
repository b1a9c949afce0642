#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/time.hpp"

namespace patchbay {

// RFC 9562, version 7: 48 bits of milliseconds, then random bits, so ids made later sort later and no two machines
// need to agree about anything.
class Uuid {
 public:
  constexpr Uuid() = default;

  // Within one process ids grow strictly, also inside one millisecond (RFC 9562, 6.2, method 2). Any thread.
  [[nodiscard]] static Uuid make(Timestamp now);
  [[nodiscard]] static std::optional<Uuid> parse(std::string_view text);  // 36 characters, either case

  [[nodiscard]] std::string to_string() const;  // "0190…-7…": 36 characters, lower case
  [[nodiscard]] const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
  [[nodiscard]] bool is_nil() const { return *this == Uuid{}; }
  auto operator<=>(const Uuid&) const = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
};

// An id that cannot be mistaken for another kind's. A default-constructed one is nil: "none".
template <class Tag>
class Id {
 public:
  constexpr Id() = default;
  explicit constexpr Id(Uuid uuid) : uuid_(uuid) {}

  [[nodiscard]] static Id make(Timestamp now) { return Id(Uuid::make(now)); }
  [[nodiscard]] static std::optional<Id> parse(std::string_view text) {
    const auto uuid = Uuid::parse(text);
    if (!uuid) return std::nullopt;
    return Id(*uuid);
  }

  [[nodiscard]] std::string to_string() const { return uuid_.to_string(); }
  [[nodiscard]] const Uuid& uuid() const { return uuid_; }
  [[nodiscard]] bool is_nil() const { return uuid_.is_nil(); }
  auto operator<=>(const Id&) const = default;

 private:
  Uuid uuid_;
};

using UserId = Id<struct UserTag>;
using SessionId = Id<struct SessionTag>;
using ApiKeyId = Id<struct ApiKeyTag>;
using ConnectionId = Id<struct ConnectionTag>;
using CredentialId = Id<struct CredentialTag>;
using FlowId = Id<struct FlowTag>;
using WatchId = Id<struct WatchTag>;
using DeliveryId = Id<struct DeliveryTag>;
using EventId = Id<struct EventTag>;
using RunId = Id<struct RunTag>;
using HostId = Id<struct HostTag>;

}  // namespace patchbay

template <>
struct std::hash<patchbay::Uuid> {
  std::size_t operator()(const patchbay::Uuid& id) const noexcept {
    // The last eight bytes are random.
    std::size_t value = 0;
    for (std::size_t i = 8; i < 16; ++i) value = value << 8 | id.bytes()[i];
    return value;
  }
};
template <class Tag>
struct std::hash<patchbay::Id<Tag>> {
  std::size_t operator()(const patchbay::Id<Tag>& id) const noexcept { return std::hash<patchbay::Uuid>{}(id.uuid()); }
};
