#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>

#include "core/metrics.hpp"
#include "egress/curl/admission.hpp"
#include "egress/curl/outgoing.hpp"
#include "egress/curl/transfer.hpp"
#include "egress/http_client.hpp"
#include "egress/target.hpp"

namespace patchbay::egress {

// What is counted for one provider; looked up once.
struct ProviderMetrics {
  explicit ProviderMetrics(const std::string& provider);
  std::array<metrics::Counter, 6> requests;  // by the status's first digit; 0: no reply
  metrics::Histogram seconds;
  metrics::Gauge in_flight;
};

// One request from send() to its answer, over all its attempts and redirects. Used again for later ones.
class Exchange {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Deadlines = std::multimap<TimePoint, Exchange*>;

  explicit Exchange(std::uint32_t index) : index_(index) {}

  void begin(HttpRequest new_request, HttpClient::Done new_done, ProviderMetrics& new_metrics);
  // Empties it; the handle is void from now on.
  void end();

  [[nodiscard]] HttpClient::Handle handle() const { return std::uint64_t{generation_} << 32 | (index_ + 1); }
  [[nodiscard]] bool is_live() const { return live_; }
  [[nodiscard]] std::uint32_t index() const { return index_; }
  [[nodiscard]] std::chrono::milliseconds time_left() const;
  [[nodiscard]] int redirects() const { return redirects_; }

  // Reads the URL that is sent next, and checks that its host is allowed.
  [[nodiscard]] Result<> aim();
  // Credentials, references, the signature, the wire's form. The request may have become another one: aims again when it did.
  [[nodiscard]] Result<> prepare(CredentialSource& credentials, Timestamp now);
  // Changes the request as the reply's Location says (RFC 9110, 15.4). false: it is no redirect, the reply is the
  // answer.
  [[nodiscard]] Result<bool> follow(const HttpReply& reply);

  void note(const Result<HttpReply>& answer) const;  // metrics and the log
  // The error, without anything that was added to the request.
  [[nodiscard]] Error cleaned(Error error) const;

  HttpRequest request;
  HttpClient::Done done;
  Target target;
  Outgoing outgoing;
  Admission::Ticket ticket;
  Transfer* transfer = nullptr;                           // while an attempt is under way
  std::optional<Deadlines::iterator> wake;                // while it waits for a connection or the next attempt
  int attempts = 0;                                       // of the present URL
  std::optional<std::expected<HttpReply, Failure>> last;  // what the next attempt is made for

 private:
  [[nodiscard]] Result<> go_to(std::string location, int status);
  void drop_credentials();

  std::uint32_t index_;
  std::uint32_t generation_ = 1;
  bool live_ = false;
  bool with_secrets_ = true;  // still at the origin that the request was made for
  int redirects_ = 0;
  TimePoint started_{};
  TimePoint deadline_{};
  ProviderMetrics* metrics_ = nullptr;
};

}  // namespace patchbay::egress
