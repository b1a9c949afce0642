#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/loop.hpp"

namespace patchbay::gateway {

using Headers = std::vector<std::pair<std::string, std::string>>;  // names in lower case

// A webhook request, complete. token is the last segment of /hooks/{token}.
struct HookRequest {
  std::string token;
  std::string method;
  std::string query;
  Headers headers;
  std::string body;
  std::string request_id;
  std::string client;  // address, after trusted proxies
};

struct Answer {
  int status = 204;
  std::string content_type;
  std::string body;
  int retry_after_s = 0;  // 0: no such header
};

// What the gateway asks of the rest. Called on the loop's thread.
class Backend {
 public:
  using Respond = std::move_only_function<void(Answer)>;
  virtual ~Backend() = default;
  // respond is called exactly once, on the loop, perhaps at once.
  virtual void hook(HookRequest request, Respond respond) = 0;
  virtual bool ready(std::string& why_not) const = 0;  // /readyz
  virtual std::string about_json(std::string_view client) const = 0;  // /about.json
  virtual std::string metrics() const = 0;             // /metrics
};

struct GatewaySettings {
  std::string address = "127.0.0.1";
  std::uint16_t port = 8080;  // 0: the system chooses
  std::string certificate_file;  // PEM; both empty: plain HTTP
  std::string private_key_file;
  std::size_t header_limit_bytes = 16 << 10;
  std::size_t body_limit_bytes = 25 << 20;      // GitHub's largest delivery
  std::size_t api_body_limit_bytes = 1 << 20;
  std::size_t connections = 4096;
  std::size_t connections_per_address = 0;      // 0: no limit of its own
  std::size_t buffered_bytes = 256 << 20;       // bodies in memory of all connections; beyond: 503
  std::chrono::milliseconds header_timeout{10'000};
  std::chrono::milliseconds body_timeout{30'000};
  std::chrono::milliseconds idle_timeout{75'000};
  std::chrono::milliseconds write_timeout{30'000};
  std::chrono::milliseconds api_timeout{35'000};
  std::vector<std::string> trusted_proxies;     // networks whose X-Forwarded-* are believed
  bool access_log = true;
  // Where /api/ and /oauth2/ go: Pistache on loopback, which answers only those who know the secret.
  std::uint16_t api_port = 0;
  std::string api_secret;
};

// The header that carries GatewaySettings::api_secret, and those that carry what the gateway found out.
inline constexpr std::string_view kApiSecretHeader = "X-Patchbay-Gateway";
inline constexpr std::string_view kRequestIdHeader = "X-Request-Id";
inline constexpr std::string_view kClientHeader = "X-Patchbay-Client";

// The one open port. On the loop's thread, except where said.
class Gateway {
 public:
  // Listens at once. Errc::unavailable: the port is taken, or the certificate cannot be read.
  [[nodiscard]] static Result<std::unique_ptr<Gateway>> create(Loop& loop, Backend& backend, GatewaySettings settings);
  ~Gateway();
  [[nodiscard]] std::uint16_t port() const;
  // Stops accepting, answers what is under way with "Connection: close", closes idle connections; done when none is
  // left or after limit.
  void drain(std::chrono::milliseconds limit, Task done);

 private:
  struct Impl;
  explicit Gateway(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace patchbay::gateway
