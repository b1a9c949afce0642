// The only place that knows Pistache. See docs/decisions/0002-beast-outside-pistache-inside.md for what must not be
// used.
#include <pistache/endpoint.h>
#include <pistache/http.h>

#include "api/api.hpp"
#include "api/router.hpp"
#include "core/bytes.hpp"
#include "core/log.hpp"

namespace patchbay::api {
namespace {

namespace http = Pistache::Http;

std::string raw_header(const http::Request& request, const std::string& name) {
  const auto found = request.headers().tryGetRaw(name);
  return found ? found->value() : std::string();
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] == '%' && i + 2 < text.size()) {
      if (const auto byte = from_hex(text.substr(i + 1, 2))) out += *byte;
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::map<std::string, std::string> parse_query(std::string_view text) {
  std::map<std::string, std::string> query;
  if (text.starts_with('?')) text.remove_prefix(1);
  while (!text.empty()) {
    const auto end = std::min(text.find('&'), text.size());
    const auto pair = text.substr(0, end);
    text.remove_prefix(std::min(text.size(), end + 1));
    const auto equals = std::min(pair.find('='), pair.size());
    if (pair.empty()) continue;
    query[percent_decoded(pair.substr(0, equals))] =
        equals < pair.size() ? percent_decoded(pair.substr(equals + 1)) : std::string();
  }
  return query;
}

std::string bearer_of(const std::string& authorization) {
  constexpr std::string_view kBearer = "bearer ";
  if (authorization.size() < kBearer.size()) return {};
  for (std::size_t i = 0; i < kBearer.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(authorization[i])) != kBearer[i]) return {};
  }
  return authorization.substr(kBearer.size());
}

std::string without_quotes(std::string text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') return text.substr(1, text.size() - 2);
  return text;
}

// A header of an answer. Pistache keeps raw ones but never writes them.
class TextHeader : public http::Header::Header {
 public:
  TextHeader(std::string name, std::string value) : name_(std::move(name)), value_(std::move(value)) {}
  const char* name() const override { return name_.c_str(); }
  void write(std::ostream& stream) const override { stream << value_; }
#ifdef SAFE_HEADER_CAST
  uint64_t hash() const override { return std::hash<std::string>{}(name_); }
#endif

 private:
  std::string name_;
  std::string value_;
};

// Answers on the thread that calls it, before it returns: see the decision for why.
class Bridge : public http::Handler {
 public:
  HTTP_PROTOTYPE(Bridge)

  Bridge(std::shared_ptr<const Router> router, std::string secret)
      : router_(std::move(router)), secret_(std::move(secret)) {}

  void onRequest(const http::Request& from, http::ResponseWriter writer) override {
    Response response;
    try {
      response = answer(from);
    } catch (const std::exception& error) {
      log::error("api", "a request could not be read: {}", error.what());
      response = problem(500, "internal", "something is wrong here", "none");
    }
    if (!response.content_type.empty()) response.headers.emplace_back("Content-Type", response.content_type);
    for (auto& [name, value] : response.headers) {
      writer.headers().add(std::make_shared<TextHeader>(std::move(name), std::move(value)));
    }
    writer.send(static_cast<http::Code>(response.status), response.body);
  }

 private:
  Response answer(const http::Request& from) const {
    Request request;
    request.request_id = raw_header(from, "X-Request-Id");
    if (!equal_in_constant_time(raw_header(from, "X-Patchbay-Gateway"), secret_)) {
      return problem(403, "denied", "this port is the gateway's", request.request_id);
    }
    request.method = http::methodString(from.method());
    request.path = from.resource();
    request.query = parse_query(from.query().as_str());
    request.body = from.body();
    request.bearer = bearer_of(raw_header(from, "authorization"));
    request.if_match = without_quotes(raw_header(from, "if-match"));
    return router_->answer(std::move(request));
  }

  std::shared_ptr<const Router> router_;
  std::string secret_;
};

}  // namespace

struct Api::Impl {
  std::optional<http::Endpoint> endpoint;  // none: stopped
  std::uint16_t port = 0;
};

Api::Api(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Api::~Api() { stop(); }

Result<std::unique_ptr<Api>> Api::start(const Services& services, const ApiSettings& settings) {
  // With an empty one everybody would be the gateway.
  if (settings.secret.empty()) return fail(Errc::invalid, "the API needs a secret that it shares with the gateway");
  try {
    const Pistache::Address address(Pistache::Ipv4::loopback(), Pistache::Port(0));
    auto impl = std::make_unique<Impl>();
    auto& endpoint = impl->endpoint.emplace(address);
    auto options = http::Endpoint::options()
                       .threads(settings.threads)
                       .flags(Pistache::Tcp::Options::ReuseAddr | Pistache::Tcp::Options::NoDelay)
                       .maxRequestSize(settings.request_limit_bytes)
                       .maxResponseSize(64 << 20);
    endpoint.init(options);
    auto router = std::make_shared<const Router>(services);
    endpoint.setHandler(http::make_handler<Bridge>(std::move(router), settings.secret));
    endpoint.serveThreaded();
    impl->port = endpoint.getPort();
    return std::unique_ptr<Api>(new Api(std::move(impl)));
  } catch (const std::exception& error) {
    return fail(Errc::unavailable, std::string("the API cannot listen: ") + error.what());
  }
}

std::uint16_t Api::port() const { return impl_->port; }

void Api::stop() {
  if (!impl_->endpoint) return;
  try {
    impl_->endpoint->shutdown();
  } catch (const std::exception& error) {
    log::warn("api", "could not be stopped: {}", error.what());
  }
  impl_->endpoint.reset();  // only now is the port closed
}

}  // namespace patchbay::api
