#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "core/loop.hpp"
#include "core/time.hpp"
#include "egress/http_client.hpp"

namespace patchbay::egress {

struct CurlSettings {
  // "127.0.0.0/8", "10.1.2.3/32", "[::1]/128": addresses that may be reached though they are private. Empty: none.
  std::vector<std::string> allowed_private_networks;
  std::size_t reply_limit_bytes = 10 << 20;
  std::size_t connections_per_host = 64;
  std::size_t connections = 512;
  std::size_t waiting = 10'000;  // requests beyond this are refused with Errc::exhausted
  std::chrono::milliseconds connect_timeout{10'000};
  int repeats = 2;      // how often a repeatable request is sent again
  std::string ca_file;  // empty: the system's
  std::string user_agent = "Patchbay";
};

// libcurl's multi interface on the loop's asio context. credentials outlives it.
[[nodiscard]] Result<std::unique_ptr<HttpClient>> make_curl_client(Loop& loop, const Clock& clock,
                                                                   CredentialSource& credentials,
                                                                   const CurlSettings& settings);

}  // namespace patchbay::egress
