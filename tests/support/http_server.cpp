// Beast is used header-only here: this library is never linked into the host, which compiles Beast's sources itself.
#undef BOOST_BEAST_SEPARATE_COMPILATION

#include "support/http_server.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <optional>
#include <thread>

namespace patchbay::support {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::uint64_t kBodyLimit = 64 << 20;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
      out += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, const HttpServer::Handler& handler) : socket_(std::move(socket)), handler_(handler) {
    error_code ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
  }

  void read() {
    parser_.emplace();
    parser_->body_limit(kBodyLimit);
    http::async_read(socket_, buffer_, *parser_,
                     [self = shared_from_this()](error_code error, std::size_t) { self->on_read(error); });
  }

 private:
  void on_read(error_code error) {
    if (error) return;  // the last reference goes, and the socket with it
    auto& message = parser_->get();
    keep_alive_ = message.keep_alive();
    version_ = message.version();
    Request request;
    request.method = message.method_string();
    request.target = message.target();
    const auto mark = request.target.find('?');
    request.path = request.target.substr(0, mark);
    if (mark != std::string::npos) request.query = request.target.substr(mark + 1);
    for (const auto& field : message) request.headers.emplace_back(field.name_string(), field.value());
    is_head_ = request.method == "HEAD";
    request.body = std::move(message.body());
    handler_(std::move(request), [self = shared_from_this()](Response response) mutable {
      auto executor = self->socket_.get_executor();
      asio::dispatch(executor, [self = std::move(self), response = std::move(response)]() mutable {
        self->write(std::move(response));
      });
    });
  }

  void write(Response response) {
    if (const auto delay = std::exchange(response.delay, {}); delay.count() > 0) {
      timer_.expires_after(delay);
      return timer_.async_wait([self = shared_from_this(), response = std::move(response)](error_code error) mutable {
        if (!error) self->write(std::move(response));
      });
    }
    if (response.status == kHangUp) return close();
    message_ = {};
    message_.version(version_);
    message_.result(static_cast<unsigned>(response.status));
    for (const auto& [name, value] : response.headers) message_.insert(name, value);
    message_.body() = std::move(response.body);
    message_.keep_alive(keep_alive_);
    if (is_head_) {
      message_.content_length(message_.body().size());
      message_.body().clear();
    } else if (response.status != 204 && response.status != 304) {
      message_.content_length(message_.body().size());
    }
    http::async_write(socket_, message_, [self = shared_from_this(), twice = response.twice](error_code error, std::size_t) {
      if (!error && twice) {
        error_code ignored;
        http::write(self->socket_, self->message_, ignored);
        return self->close();
      }
      if (error || !self->keep_alive_) return self->close();
      self->read();
    });
  }

  void close() {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_both, ignored);
    socket_.close(ignored);
  }

  tcp::socket socket_;
  asio::steady_timer timer_{socket_.get_executor()};
  const HttpServer::Handler& handler_;
  boost::beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> message_;
  unsigned version_ = 11;
  bool keep_alive_ = true;
  bool is_head_ = false;
};

}  // namespace

std::string_view Request::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (boost::beast::iequals(key, name)) return value;
  }
  return {};
}

std::string Request::parameter(std::string_view name, std::string_view otherwise) const {
  for (std::string_view rest = query; !rest.empty();) {
    const auto pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    const auto equals = pair.find('=');
    if (decoded(pair.substr(0, equals)) != name) continue;
    return equals == std::string_view::npos ? std::string() : decoded(pair.substr(equals + 1));
  }
  return std::string(otherwise);
}

struct HttpServer::Impl {
  Impl(Handler given, std::uint16_t wanted)
      : handler(std::move(given)),
        acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), wanted)),
        port(acceptor.local_endpoint().port()) {
    accept();
    thread = std::thread([this] { context.run(); });
  }

  void accept() {
    acceptor.async_accept([this](error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (!error) std::make_shared<Connection>(std::move(socket), handler)->read();
      accept();
    });
  }

  ~Impl() {
    context.stop();
    thread.join();
  }

  Handler handler;  // outlives the connections, which live in the context
  asio::io_context context{1};
  tcp::acceptor acceptor;
  const std::uint16_t port;
  std::thread thread;
};

HttpServer::HttpServer(Handler handler, std::uint16_t port) : impl_(std::make_unique<Impl>(std::move(handler), port)) {}
HttpServer::~HttpServer() = default;
std::uint16_t HttpServer::port() const { return impl_->port; }
std::string HttpServer::base_url() const { return "http://127.0.0.1:" + std::to_string(port()); }

}  // namespace patchbay::support
