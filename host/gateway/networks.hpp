#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "gateway/gateway.hpp"

namespace patchbay::gateway {

// A set of networks: "10.0.0.0/8", "::1/128", "192.0.2.7". Immutable.
class Networks {
 public:
  // Errc::invalid names the text that is no network.
  [[nodiscard]] static Result<Networks> parse(const std::vector<std::string>& texts);
  // address: an IP address as text; an IPv4 address that is mapped into IPv6 counts as IPv4.
  [[nodiscard]] bool contains(std::string_view address) const;
  [[nodiscard]] bool empty() const { return networks_.empty(); }

 private:
  struct Network {
    std::string bytes;  // 4 or 16
    int prefix = 0;
  };
  std::vector<Network> networks_;
};

// The client's address behind proxies that are trusted: the last of X-Forwarded-For (all lines of it together) that is
// not one of them. peer: the address of the connection, returned when it is no trusted proxy or what it says is no
// address. headers: names in lower case.
[[nodiscard]] std::string client_behind(const Networks& trusted, std::string_view peer, const Headers& headers);

// Does the client speak TLS? X-Forwarded-Proto counts only from a trusted proxy.
[[nodiscard]] bool is_secure_behind(const Networks& trusted, std::string_view peer, const Headers& headers, bool tls);

}  // namespace patchbay::gateway
