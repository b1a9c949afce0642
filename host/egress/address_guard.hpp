#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"

struct sockaddr;

namespace patchbay::egress {

// An IP address as 16 bytes; IPv4 as ::ffff:a.b.c.d, so that the mapped form is the same address.
using Address = std::array<std::uint8_t, 16>;

[[nodiscard]] Result<Address> to_address(const sockaddr& address);  // Errc::denied: neither IPv4 nor IPv6
[[nodiscard]] std::string to_string(const Address& address);

// "10.0.0.0/8", "[::1]/128", "127.0.0.1"
struct Network {
  Address address{};
  int prefix_bits = 0;

  [[nodiscard]] static Result<Network> parse(std::string_view text);
  [[nodiscard]] bool contains(const Address& address) const;
};

// Decides which addresses may be connected to. It is asked with the address that the socket will really use, so a name
// that resolves to something else the second time (DNS rebinding) gains nothing. Immutable.
class AddressGuard {
 public:
  // networks: what may be reached though it is private, and by plain http.
  [[nodiscard]] static Result<AddressGuard> create(const std::vector<std::string>& networks);

  // Errc::denied, with the address and the reason.
  [[nodiscard]] Result<> check(const Address& address, bool tls) const;

 private:
  std::vector<Network> networks_;
};

// Not a host on the public internet: IANA's special-purpose registries (RFC 6890 and what was added since), multicast,
// and the forms that wrap an IPv4 address of that kind.
[[nodiscard]] bool is_special(const Address& address);

}  // namespace patchbay::egress
