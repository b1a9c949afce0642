#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/bytes.hpp"
#include "core/error.hpp"
#include "core/id.hpp"

namespace patchbay::egress {

class ClientCertificate;
class Signer;

using Headers = std::vector<std::pair<std::string, std::string>>;  // names of replies are in lower case

[[nodiscard]] bool is_same_name(std::string_view a, std::string_view b);  // of headers: without regard to case

// One outbound request.
struct HttpRequest {
  std::string method = "GET";
  std::string url;
  Headers headers;
  std::string body;

  std::string provider;     // on whose behalf: for limits, metrics and the log
  ConnectionId connection;  // whose credentials go along; nil: none
  std::string auth;         // which of the manifest's "auth"; empty: the connection's own
  // Hosts it may reach, from the manifest and the configuration ("api.github.com", "*.discord.gg", "*"); also after a
  // redirect. Empty: none.
  std::shared_ptr<const std::vector<std::string>> allowed_hosts;
  // reference -> secret; replaced in url, headers and body as the last thing before sending.
  std::vector<std::pair<std::string, Secret>> expansions;
  // Set by CredentialSource::authorize. They are for the request's own origin, as all credentials are.
  std::shared_ptr<const Signer> signer;                         // signs each attempt as the last thing (signer.hpp)
  std::shared_ptr<const ClientCertificate> client_certificate;  // shown when the server asks (client_certificate.hpp)
  bool once = false;        // on a connection of its own: libcurl sends again what one that was kept has swallowed
  bool repeatable = false;  // may be sent again on a connection error or 502, 503, 504 (GET, HEAD, PUT, DELETE always)
  std::chrono::milliseconds timeout{30'000};
};

struct HttpReply {
  int status = 0;
  Headers headers;
  std::string body;
  [[nodiscard]] std::string_view header(std::string_view lower_case_name) const;
};

// Adds a connection's credentials to a request on its way out. Implemented by the vault.
class CredentialSource {
 public:
  virtual ~CredentialSource() = default;
  // On the loop, before each attempt; must not block for long. Errc::unauthenticated: the account must be connected
  // again. May change url (not its host) and headers and set signer and client_certificate, for this attempt only: the
  // next one begins with the plain request again. What was added to url and headers is cleaned from errors and logs.
  virtual Result<> authorize(HttpRequest& request) = 0;
};

// The client of the process. On the loop's thread only.
class HttpClient {
 public:
  using Handle = std::uint64_t;
  using Done = std::move_only_function<void(Result<HttpReply>)>;

  virtual ~HttpClient() = default;
  // Sends and answers exactly once, later. A reply of any status is a success.
  // Errc::denied: host not allowed, private address, plain http to where it is not permitted; unavailable: no
  // connection, TLS not verified; unauthenticated: no credentials, client certificate refused; timeout; exhausted:
  // reply over the limit, or too many requests waiting; cancelled.
  virtual Handle send(HttpRequest request, Done done) = 0;
  // done gets Errc::cancelled, later. Unknown handles are ignored.
  virtual void cancel(Handle handle) = 0;
};

}  // namespace patchbay::egress
