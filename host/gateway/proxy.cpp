#include "gateway/proxy.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include "core/log.hpp"

namespace patchbay::gateway {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;

constexpr std::size_t kReplyLimit = 64 << 20;
constexpr std::uint32_t kReplyHeadLimit = 64 << 10;

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
         });
}

// What the API reads of a client's headers. Nothing else goes through: hop-by-hop headers (RFC 9110, section 7.6.1),
// what only the gateway may say, and headers that Pistache parses by itself and refuses in its own words.
bool is_passed_on(std::string_view name) { return name == "authorization" || name == "if-match"; }

// The rest stays inside: what is not on this list may say who answers, or hold the secret.
bool is_passed_back(std::string_view name) {
  constexpr std::array<std::string_view, 17> kNames{"ETag",
                                                    "Location",
                                                    "Allow",
                                                    "Retry-After",
                                                    "Cache-Control",
                                                    "WWW-Authenticate",
                                                    "RateLimit",
                                                    "RateLimit-Limit",
                                                    "RateLimit-Remaining",
                                                    "RateLimit-Reset",
                                                    "Link",
                                                    "Vary",
                                                    "Last-Modified",
                                                    "Set-Cookie",
                                                    "Content-Disposition",
                                                    "Content-Security-Policy",
                                                    "Idempotency-Replayed"};
  return std::any_of(kNames.begin(), kNames.end(),
                     [&](std::string_view known) { return equal_ignoring_case(known, name); });
}

std::string to_wire(const UpstreamRequest& request, const GatewaySettings& settings) {
  std::string text;
  text.reserve(1024 + request.body.size());
  const auto out = std::back_inserter(text);
  fmt::format_to(out, "{} {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n", request.method, request.target,
                 settings.api_port);
  fmt::format_to(out, "{}: {}\r\n{}: {}\r\n{}: {}\r\nX-Forwarded-Proto: {}\r\n", kApiSecretHeader, settings.api_secret,
                 kRequestIdHeader, request.request_id, kClientHeader, request.client,
                 request.secure ? "https" : "http");
  for (const auto& [name, value] : request.headers) fmt::format_to(out, "{}: {}\r\n", name, value);
  fmt::format_to(out, "Content-Length: {}\r\n\r\n", request.body.size());
  text += request.body;
  return text;
}

class Call : public std::enable_shared_from_this<Call> {
 public:
  Call(const std::shared_ptr<Core>& core, UpstreamRequest request, std::move_only_function<void(Response)> done)
      : core_(core),
        request_id_(request.request_id),
        head_(request.method == "HEAD"),
        wire_(to_wire(request, core->settings)),
        done_(std::move(done)),
        socket_(core->loop.context()),
        timer_(core->loop.context()) {
    parser_.body_limit(kReplyLimit);
    parser_.header_limit(kReplyHeadLimit);
    parser_.skip(head_);
  }

  void start() {
    timer_.expires_after(core_->settings.api_timeout);
    timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error) self->finish(problem(504, "timeout", "the API did not answer in time", self->request_id_));
    });
    const tcp::endpoint api(asio::ip::address_v4::loopback(), core_->settings.api_port);
    socket_.async_connect(api, [self = shared_from_this()](const boost::system::error_code& error) {
      if (error) return self->failed(error);
      self->write();
    });
  }

 private:
  void write() {
    asio::async_write(socket_, asio::buffer(wire_),
                      [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
                        if (error) return self->failed(error);
                        self->read();
                      });
  }

  void read() {
    http::async_read(socket_, buffer_, parser_,
                     [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
                       if (error) return self->failed(error);
                       self->answered();
                     });
  }

  void answered() {
    auto& message = parser_.get();
    Response response;
    response.status = static_cast<int>(message.result_int());
    if (response.status < 200) return failed(http::error::bad_status);  // nobody was asked to continue
    for (const auto& field : message) {
      const std::string_view name(field.name_string().data(), field.name_string().size());
      const std::string_view value(field.value().data(), field.value().size());
      if (equal_ignoring_case(name, "Content-Type")) response.content_type = value;
      if (head_ && equal_ignoring_case(name, "Content-Length")) response.head_length = value;
      if (is_passed_back(name)) response.headers.emplace_back(std::string(name), std::string(value));
    }
    response.body = std::move(message.body());
    finish(std::move(response));
  }

  void failed(const boost::system::error_code& error) {
    if (!done_) return;
    log::error("gateway", "the API could not be asked: {} (request {})", error.message(), request_id_);
    finish(problem(502, "unavailable", "the API does not answer", request_id_));
  }

  void finish(Response response) {
    if (!done_) return;
    timer_.cancel();
    boost::system::error_code ignored;
    socket_.close(ignored);
    std::exchange(done_, nullptr)(std::move(response));
  }

  std::shared_ptr<Core> core_;
  std::string request_id_;
  bool head_;
  std::string wire_;
  std::move_only_function<void(Response)> done_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  boost::beast::flat_buffer buffer_;
  http::response_parser<http::string_body> parser_;
};

}  // namespace

std::optional<Headers> normal_headers(const Headers& headers) {
  Headers normal;
  for (const auto& header : headers) {
    if (!is_passed_on(header.first)) continue;
    for (const auto& [name, value] : normal) {
      if (name == header.first) return std::nullopt;
    }
    normal.push_back(header);
  }
  return normal;
}

void pass_upstream(const std::shared_ptr<Core>& core, UpstreamRequest request,
                   std::move_only_function<void(Response)> done) {
  std::make_shared<Call>(core, std::move(request), std::move(done))->start();
}

}  // namespace patchbay::gateway
