#include "egress/curl/exchange.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/log.hpp"

namespace patchbay::egress {
namespace {

constexpr int kRedirectsAtMost = 5;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return out;
}

bool is_credential(std::string_view lower_name) {
  return lower_name == "authorization" || lower_name == "cookie" || lower_name == "x-api-key";
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

metrics::Counter requests_counter(const std::string& provider, std::string status) {
  return metrics::counter("patchbay_http_client_requests_total", "Outbound requests that ended, by status class",
                          {{"provider", provider}, {"status", std::move(status)}});
}

}  // namespace

ProviderMetrics::ProviderMetrics(const std::string& provider)
    : requests{requests_counter(provider, "error"), requests_counter(provider, "1xx"),
               requests_counter(provider, "2xx"),   requests_counter(provider, "3xx"),
               requests_counter(provider, "4xx"),   requests_counter(provider, "5xx")},
      seconds(metrics::histogram("patchbay_http_client_seconds", "Outbound requests from send to answer",
                                 {{"provider", provider}})),
      in_flight(metrics::gauge("patchbay_http_client_in_flight", "Outbound requests that wait for their answer",
                               {{"provider", provider}})) {}

void Exchange::begin(HttpRequest new_request, HttpClient::Done new_done, ProviderMetrics& new_metrics) {
  request = std::move(new_request);
  done = std::move(new_done);
  metrics_ = &new_metrics;
  metrics_->in_flight.add(1);
  live_ = true;
  with_secrets_ = true;
  redirects_ = 0;
  attempts = 0;
  started_ = std::chrono::steady_clock::now();
  deadline_ = started_ + request.timeout;
}

void Exchange::end() {
  metrics_->in_flight.add(-1);
  outgoing.forget();
  request = {};
  done = {};
  last.reset();
  live_ = false;
  ++generation_;
}

std::chrono::milliseconds Exchange::time_left() const {
  return std::chrono::ceil<std::chrono::milliseconds>(deadline_ - std::chrono::steady_clock::now());
}

Result<> Exchange::aim() {
  const bool replaces = with_secrets_ && holds_reference(request.url, request.expansions);
  auto expanded = replaces ? expand(request.url, Place::url, request.expansions) : std::string{};
  auto parsed = parse_target(replaces ? expanded : request.url);
  wipe(expanded);
  if (!parsed) return std::unexpected(std::move(parsed.error()));
  if (!request.allowed_hosts || !is_host_allowed(*request.allowed_hosts, parsed->host())) {
    return fail(Errc::denied,
                fmt::format("{}: host is not among those that '{}' may reach", parsed->host(), request.provider));
  }
  target = std::move(*parsed);
  return {};
}

Result<> Exchange::prepare(CredentialSource& credentials, Timestamp now) {
  if (auto prepared = outgoing.prepare(request, credentials, now, with_secrets_); !prepared) return prepared;
  if (outgoing.client_certificate() && !target.tls) {
    return fail(Errc::denied, fmt::format("{}: a client certificate needs https", target.host()));
  }
  if (!with_secrets_ || (request.connection.is_nil() && request.expansions.empty() && !request.signer)) return {};
  // What was added may have changed the URL, but not where it goes: that is what was checked and queued for.
  const auto final_target = parse_target(outgoing.url());
  if (!final_target) return std::unexpected(final_target.error());
  if (final_target->origin != target.origin) return fail(Errc::denied, "credentials would change the request's host");
  return {};
}

Result<bool> Exchange::follow(const HttpReply& reply) {
  if (!is_redirect(reply.status)) return false;
  const auto location = reply.header("location");
  if (location.empty()) return false;
  if (++redirects_ > kRedirectsAtMost) {
    return fail(Errc::unavailable, fmt::format("{}: more than {} redirects", target.host(), kRedirectsAtMost));
  }
  auto next = resolve_redirect(outgoing.url(), location);
  if (!next)
    return std::unexpected(Error{next.error().code, fmt::format("{}: {}", target.host(), next.error().message)});
  if (auto gone = go_to(std::move(*next), reply.status); !gone) return std::unexpected(std::move(gone.error()));
  return true;
}

Result<> Exchange::go_to(std::string location, int status) {
  const auto from = target;
  const auto to = parse_target(location);
  if (!to)
    return std::unexpected(Error{Errc::denied, fmt::format("{}: redirect: {}", from.host(), to.error().message)});
  if (from.tls && !to->tls) return fail(Errc::denied, fmt::format("{}: redirect from https to http", from.host()));

  // 301 and 302 turn POST into GET, as everybody does (RFC 9110, 15.4.2); 303 turns all but HEAD.
  const bool becomes_get = status == 303 ? request.method != "HEAD" && request.method != "GET"
                                         : (status == 301 || status == 302) && request.method == "POST";
  if (becomes_get) {
    request.method = "GET";
    request.body.clear();
    std::erase_if(request.headers, [](const auto& header) { return lower(header.first).starts_with("content-"); });
  }
  if (to->origin != from.origin && with_secrets_) {
    if (holds_reference(request.body, request.expansions)) {
      return fail(Errc::denied, fmt::format("{}: redirect would carry a secret to {}", from.host(), to->host()));
    }
    drop_credentials();
  }
  request.url = std::move(location);
  attempts = 0;
  return aim();
}

// For good: also when a later redirect leads back.
void Exchange::drop_credentials() {
  with_secrets_ = false;
  std::erase_if(request.headers, [this](const auto& header) {
    return is_credential(lower(header.first)) || holds_reference(header.second, request.expansions);
  });
}

void Exchange::note(const Result<HttpReply>& answer) const {
  const auto took = std::chrono::steady_clock::now() - started_;
  const int status = answer ? answer->status : 0;
  metrics_->requests[static_cast<std::size_t>(std::clamp(status / 100, 0, 5))].increment();
  metrics_->seconds.observe(std::chrono::duration<double>(took).count());
  if (!log::enabled(log::Level::debug)) return;
  // The path as the plugin wrote it: with references, without what was put in their place. One that a server named in a
  // redirect may hold anything.
  const auto path = redirects_ == 0 ? path_of(request.url) : std::string_view("/(redirected)");
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
  const auto origin = cleaned({Errc::internal, target.origin}).message;
  const auto outcome = answer ? std::to_string(status) : answer.error().message;
  log::debug("egress", "{} {} {}{} {} ms {} bytes: {}", request.provider, request.method, origin, path, milliseconds,
             request.body.size(), outcome);
}

Error Exchange::cleaned(Error error) const {
  outgoing.redact(error.message);
  for (const auto& expansion : request.expansions) redact(error.message, expansion.second.reveal());
  return error;
}

}  // namespace patchbay::egress
