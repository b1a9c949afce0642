#include "egress/address_guard.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <span>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace patchbay::egress {
namespace {

constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr int kMappedBits = 96;

struct Prefix4 {
  std::array<std::uint8_t, 4> address;
  int bits;
};
// https://www.iana.org/assignments/iana-ipv4-special-registry, plus multicast.
constexpr std::array kSpecial4 = std::to_array<Prefix4>({
    {{0, 0, 0, 0}, 8},
    {{10, 0, 0, 0}, 8},
    {{100, 64, 0, 0}, 10},
    {{127, 0, 0, 0}, 8},
    {{169, 254, 0, 0}, 16},
    {{172, 16, 0, 0}, 12},
    {{192, 0, 0, 0}, 24},
    {{192, 0, 2, 0}, 24},
    {{192, 88, 99, 0}, 24},
    {{192, 168, 0, 0}, 16},
    {{198, 18, 0, 0}, 15},
    {{198, 51, 100, 0}, 24},
    {{203, 0, 113, 0}, 24},
    {{224, 0, 0, 0}, 4},
    {{240, 0, 0, 0}, 4},
});

struct Prefix6 {
  std::array<std::uint8_t, 4> begin;  // the first 32 bits tell all of them
  int bits;
};
// Inside 2000::/3: IETF protocols with Teredo and ORCHID, documentation, 6to4.
constexpr std::array kSpecial6 = std::to_array<Prefix6>({
    {{0x20, 0x01, 0x00, 0x00}, 23},
    {{0x20, 0x01, 0x0d, 0xb8}, 32},
    {{0x20, 0x02, 0x00, 0x00}, 16},
    {{0x3f, 0xff, 0x00, 0x00}, 20},
});
// RFC 6052: the well-known prefix of NAT64, before an IPv4 address.
constexpr std::array<std::uint8_t, 12> kNat64{0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0};

bool has_prefix(std::span<const std::uint8_t> bytes, std::span<const std::uint8_t> prefix, int bits) {
  const auto whole = static_cast<std::size_t>(bits / 8);
  if (!std::equal(prefix.begin(), prefix.begin() + static_cast<std::ptrdiff_t>(whole), bytes.begin())) return false;
  const int rest = bits % 8;
  return rest == 0 || (bytes[whole] >> (8 - rest)) == (prefix[whole] >> (8 - rest));
}

bool is_special4(std::span<const std::uint8_t> bytes) {
  return std::ranges::any_of(kSpecial4, [bytes](const Prefix4& p) { return has_prefix(bytes, p.address, p.bits); });
}

}  // namespace

Result<Address> to_address(const sockaddr& address) {
  Address bytes{};
  if (address.sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &address, sizeof in);
    std::ranges::copy(kMapped, bytes.begin());
    std::memcpy(bytes.data() + kMapped.size(), &in.sin_addr, 4);
    return bytes;
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, &address, sizeof in);
    std::memcpy(bytes.data(), &in.sin6_addr, 16);
    return bytes;
  }
  return fail(Errc::denied, "neither an IPv4 nor an IPv6 address");
}

std::string to_string(const Address& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (std::equal(kMapped.begin(), kMapped.end(), address.begin())) {
    inet_ntop(AF_INET, address.data() + kMapped.size(), text.data(), text.size());
  } else {
    inet_ntop(AF_INET6, address.data(), text.data(), text.size());
  }
  return text.data();
}

Result<Network> Network::parse(std::string_view text) {
  const auto wrong = [text] {
    return fail(Errc::invalid, "'" + std::string(text) + "' is not a network, such as 10.0.0.0/8 or [::1]/128");
  };
  const auto slash = text.find('/');
  auto host = text.substr(0, slash);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);

  Network network;
  const std::string terminated(host);
  const bool is_v4 = host.find(':') == std::string_view::npos;
  if (is_v4) {
    std::ranges::copy(kMapped, network.address.begin());
    if (inet_pton(AF_INET, terminated.c_str(), network.address.data() + kMapped.size()) != 1) return wrong();
  } else if (inet_pton(AF_INET6, terminated.c_str(), network.address.data()) != 1) {
    return wrong();
  }
  const int whole = is_v4 ? 32 : 128;
  int bits = whole;
  if (slash != std::string_view::npos) {
    const auto number = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), bits);
    if (error != std::errc{} || end != number.data() + number.size() || bits < 0 || bits > whole) return wrong();
  }
  network.prefix_bits = is_v4 ? bits + kMappedBits : bits;
  return network;
}

bool Network::contains(const Address& other) const { return has_prefix(other, address, prefix_bits); }

Result<AddressGuard> AddressGuard::create(const std::vector<std::string>& networks) {
  AddressGuard guard;
  for (const auto& text : networks) {
    auto network = Network::parse(text);
    if (!network) return std::unexpected(std::move(network.error()));
    guard.networks_.push_back(*network);
  }
  return guard;
}

Result<> AddressGuard::check(const Address& address, bool tls) const {
  if (std::ranges::any_of(networks_, [&](const Network& network) { return network.contains(address); })) return {};
  if (is_special(address)) {
    return fail(Errc::denied, to_string(address) + " is a private address that the configuration does not allow");
  }
  if (!tls) return fail(Errc::denied, "plain http to " + to_string(address) + ": only https leaves this network");
  return {};
}

bool is_special(const Address& address) {
  const std::span<const std::uint8_t> bytes = address;
  if (has_prefix(bytes, kMapped, kMappedBits)) return is_special4(bytes.subspan(12));
  if (has_prefix(bytes, kNat64, 96)) return is_special4(bytes.subspan(12));
  if (bytes[0] >> 5 != 1) return true;  // only 2000::/3 is given out
  return std::ranges::any_of(kSpecial6, [bytes](const Prefix6& p) { return has_prefix(bytes, p.begin, p.bits); });
}

}  // namespace patchbay::egress
