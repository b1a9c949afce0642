#include "gateway/connection.hpp"

#include <algorithm>
#include <optional>

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fmt/format.h>

#include "core/bytes.hpp"
#include "core/log.hpp"
#include "gateway/proxy.hpp"
#include "gateway/request_check.hpp"
#include "gateway/response.hpp"

namespace patchbay::gateway {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using Steady = std::chrono::steady_clock;
using TlsStream = asio::ssl::stream<Socket>;

constexpr std::size_t kRoomyBuffer = 32 << 10;  // of a connection that sends more than small requests
constexpr std::size_t kChunkedEstimate = 64 << 10;

std::string_view text_of(boost::beast::string_view text) { return {text.data(), text.size()}; }

bool is_request_id(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

// Not a secret and not a database key, only something to search for: counted, from a random start of this process.
std::string make_request_id() {
  static const std::string prefix = to_hex(random_bytes(5));
  static std::uint64_t number = 0;
  return fmt::format("{}-{:x}", prefix, ++number);
}

template <class Stream>
constexpr bool kIsTls = std::is_same_v<Stream, TlsStream>;

// One connection: reads a head, decides, reads the body, has it answered, writes, and again. At any moment it is in one
// phase with one deadline; the sweep closes it when that has passed, so no timer is armed for a request.
template <class Stream>
class Connection : public OpenConnection, public std::enable_shared_from_this<Connection<Stream>> {
 public:
  Connection(Stream stream, std::shared_ptr<Core> core) : stream_(std::move(stream)), core_(std::move(core)) {
    boost::system::error_code error;
    const auto endpoint = socket().remote_endpoint(error);
    if (!error) peer_ = endpoint.address().to_string();
    core_->connections.insert(this);
    if (core_->settings.connections_per_address > 0) ++core_->per_address[peer_];
  }

  ~Connection() override {
    core_->buffered_bytes -= reserved_;
    core_->connections.erase(this);
    if (core_->settings.connections_per_address > 0) {
      const auto found = core_->per_address.find(peer_);
      if (found != core_->per_address.end() && --found->second == 0) core_->per_address.erase(found);
    }
  }

  void start() {
    if constexpr (kIsTls<Stream>) {
      enter(Phase::handshake, core_->settings.header_timeout);
      stream_.async_handshake(asio::ssl::stream_base::server,
                              [self = this->shared_from_this()](const boost::system::error_code& error) {
                                if (!error) self->read_head();
                              });
    } else {
      read_head();
    }
  }

  void sweep(Steady::time_point now) override {
    if (now < deadline_) return;
    switch (phase_) {
      case Phase::head:
        // Nothing of a request has come: an idle connection, closed without a word.
        if (!head_began_ && buffer_.size() == 0 && !parser_->got_some()) return abort();
        head_began_ = true;
        return time_out("the request's head did not come in time");
      case Phase::body: return time_out("the request's body did not come in time");
      case Phase::handshake:
      case Phase::answer:
      case Phase::write:
      case Phase::closing: return abort();
    }
  }

  void drain() override {
    closing_ = true;
    if (phase_ == Phase::head && buffer_.size() == 0 && !parser_->got_some()) abort();
  }

  void abort() override {
    phase_ = Phase::closing;
    boost::system::error_code ignored;
    socket().close(ignored);
    core_->connections.erase(this);  // a handler may hold this object for longer
  }

 private:
  enum class Phase { handshake, head, body, answer, write, closing };
  using Parser = http::request_parser<http::string_body>;

  Socket& socket() {
    if constexpr (kIsTls<Stream>) {
      return stream_.next_layer();
    } else {
      return stream_;
    }
  }

  void enter(Phase phase, std::chrono::milliseconds limit) {
    phase_ = phase;
    deadline_ = Steady::now() + limit;
  }

  void read_head() {
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(core_->settings.header_limit_bytes));
    parser_->body_limit(core_->settings.body_limit_bytes);
    request_id_.clear();
    target_ = {};
    // The time for a head begins with its first byte; before, the connection is idle.
    enter(Phase::head, served_ == 0 || buffer_.size() > 0 ? core_->settings.header_timeout : core_->settings.idle_timeout);
    read_some_head();
  }

  // By hand, not by async_read_header: so that the time can begin with the first byte.
  void read_some_head() {
    boost::system::error_code error;
    if (buffer_.size() > 0) {
      const auto used = parser_->put(buffer_.data(), error);
      buffer_.consume(used);
      if (error && error != http::error::need_more) return refuse_parse(error);
      if (parser_->is_header_done()) return head_read();
      if (buffer_.size() > core_->settings.header_limit_bytes) return refuse_parse(http::error::header_limit);
    }
    const auto room = std::max<std::size_t>(buffer_.capacity() - buffer_.size(), 1024);
    stream_.async_read_some(buffer_.prepare(room), [self = this->shared_from_this()](
                                                       const boost::system::error_code& failed, std::size_t count) {
      if (self->phase_ == Phase::closing) return;
      if (failed) return self->peer_left(failed);
      if (self->buffer_.size() == 0 && self->served_ > 0) self->enter(Phase::head, self->core_->settings.header_timeout);
      self->head_began_ = true;
      self->buffer_.commit(count);
      self->read_some_head();
    });
  }

  void head_read() {
    began_ = Steady::now();
    const auto& head = parser_->get();
    const auto given_id = text_of(head["X-Request-Id"]);
    request_id_ = is_request_id(given_id) ? std::string(given_id) : make_request_id();
    method_ = text_of(head.method_string());
    keep_alive_ = parser_->keep_alive() && !core_->draining;
    http_1_0_ = head.version() == 10;
    if (const auto refusal = check_head(head, parser_->chunked())) return refuse(*refusal);
    auto target = parse_target(text_of(head.target()));
    if (!target) return refuse({400, "bad_request", "the request target is malformed"});
    target_ = *std::move(target);
    if (!is_known_method(method_)) return refuse({501, "not_implemented", "an unknown method"});
    const auto methods = methods_of(target_.route);
    if (!methods.empty() && target_.route != Route::options && !allows(methods)) return refuse_method(methods);

    const bool api = target_.route == Route::api;
    const auto limit = api ? core_->settings.api_body_limit_bytes : core_->settings.body_limit_bytes;
    parser_->body_limit(limit);
    const auto length = parser_->content_length();
    if (length && *length > limit) return refuse({413, "payload_too_large", "the request's body is too large"});
    const auto wanted = length ? static_cast<std::size_t>(*length) : parser_->chunked() ? kChunkedEstimate : 0;
    if (core_->buffered_bytes + wanted > core_->settings.buffered_bytes) {
      return refuse({503, "overloaded", "too many requests are under way"});
    }
    core_->buffered_bytes += wanted;
    reserved_ = wanted;
    if (wanted > 4096 && served_ > 0 && buffer_.capacity() < kRoomyBuffer) buffer_.reserve(kRoomyBuffer);
    parser_->get().body().reserve(std::min<std::size_t>(wanted, 1 << 20));
    if (!head[http::field::expect].empty() && !parser_->is_done()) return say_continue();
    read_body();
  }

  [[nodiscard]] bool allows(std::string_view methods) const {
    for (std::size_t at = 0; at < methods.size();) {
      const auto comma = std::min(methods.find(',', at), methods.size());
      if (methods.substr(at, comma - at) == method_) return true;
      at = comma + 2;
    }
    return false;
  }

  void say_continue() {
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    enter(Phase::body, core_->settings.body_timeout);
    asio::async_write(stream_, asio::buffer(kContinue.data(), kContinue.size()),
                      [self = this->shared_from_this()](const boost::system::error_code& error, std::size_t) {
                        if (self->phase_ == Phase::closing) return;
                        if (error) return self->abort();
                        self->read_body();
                      });
  }

  void read_body() {
    enter(Phase::body, core_->settings.body_timeout);
    read_some_body();
  }

  void read_some_body() {
    boost::system::error_code error;
    while (!parser_->is_done() && buffer_.size() > 0) {
      const auto used = parser_->put(buffer_.data(), error);
      buffer_.consume(used);
      if (error == http::error::need_more) break;
      if (error) return refuse_parse(error);
      if (used == 0) break;
    }
    if (parser_->is_done()) return dispatch();
    // A chunk's head or extension that never ends must not fill the memory.
    if (buffer_.size() > core_->settings.header_limit_bytes) return refuse_parse(http::error::header_limit);
    const auto room = std::clamp<std::size_t>(buffer_.capacity() - buffer_.size(), 16 << 10, 64 << 10);
    stream_.async_read_some(buffer_.prepare(room), [self = this->shared_from_this()](
                                                       const boost::system::error_code& failed, std::size_t count) {
      if (self->phase_ == Phase::closing) return;
      if (failed) return self->peer_left(failed);
      self->buffer_.commit(count);
      self->read_some_body();
    });
  }

  // The request is complete.
  void dispatch() {
    enter(Phase::answer, core_->settings.api_timeout + std::chrono::milliseconds{5'000});
    switch (target_.route) {
      case Route::hook: return deliver_hook();
      case Route::api: return pass_to_api();
      case Route::live: return respond({200, "text/plain", "ok\n", {}});
      case Route::ready:
      case Route::health: return answer_readiness();
      case Route::metrics: return answer_from_backend("text/plain; version=0.0.4", [](Backend& b) { return b.metrics(); });
      case Route::about:
        return answer_from_backend("application/json", [this](Backend& b) { return b.about_json(client()); });
      case Route::options: return respond({204, "", "", {{"Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}}});
      case Route::none: return respond(problem(404, "not_found", "nothing is here", request_id_));
    }
  }

  template <class Make>
  void answer_from_backend(std::string content_type, Make make) {
    if (core_->backend == nullptr) return abort();
    respond({200, std::move(content_type), make(*core_->backend), {}});
  }

  void answer_readiness() {
    if (core_->backend == nullptr) return abort();
    std::string why_not;
    if (core_->backend->ready(why_not)) return respond({200, "application/json", R"({"status":"ok"})" "\n", {}});
    auto response = problem(503, "not_ready", why_not, request_id_);
    response.headers.emplace_back("Retry-After", "1");
    respond(std::move(response));
  }

  Headers take_headers() {
    Headers headers;
    for (const auto& field : parser_->get()) {
      std::string name(text_of(field.name_string()));
      for (auto& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
      headers.emplace_back(std::move(name), std::string(text_of(field.value())));
    }
    return headers;
  }

  // The address behind proxies that are trusted: the last of X-Forwarded-For that is not one of them.
  std::string client() {
    if (core_->trusted_proxies.empty() || !core_->trusted_proxies.contains(peer_)) return peer_;
    std::string_view list = text_of(parser_->get()["X-Forwarded-For"]);
    while (!list.empty()) {
      const auto comma = list.rfind(',');
      auto last = comma == std::string_view::npos ? list : list.substr(comma + 1);
      while (!last.empty() && last.front() == ' ') last.remove_prefix(1);
      while (!last.empty() && last.back() == ' ') last.remove_suffix(1);
      if (!core_->trusted_proxies.contains(last)) return last.empty() ? peer_ : std::string(last);
      list = comma == std::string_view::npos ? std::string_view() : list.substr(0, comma);
    }
    return peer_;
  }

  void deliver_hook() {
    if (core_->backend == nullptr) return abort();
    HookRequest request;
    request.token = std::move(target_.token);
    request.method = method_;
    request.query = std::move(target_.query);
    request.headers = take_headers();
    request.client = client();
    request.request_id = request_id_;
    target_.path = "/hooks/" + request.token.substr(0, 6) + "…";  // for the log: not the whole token
    request.body = std::move(parser_->get().body());
    core_->backend->hook(std::move(request), [self = this->shared_from_this()](Answer answer) {
      Response response{answer.status, std::move(answer.content_type), std::move(answer.body), {}};
      if (answer.retry_after_s > 0) response.headers.emplace_back("Retry-After", std::to_string(answer.retry_after_s));
      self->respond(std::move(response));
    });
  }

  void pass_to_api() {
    UpstreamRequest request;
    request.method = method_;
    request.target = target_.path + (target_.query.empty() ? "" : "?" + target_.query);
    request.headers = take_headers();
    request.client = client();
    request.request_id = request_id_;
    request.body = std::move(parser_->get().body());
    pass_upstream(core_, std::move(request),
                  [self = this->shared_from_this()](Response response) { self->respond(std::move(response)); });
  }

  void refuse_parse(const boost::system::error_code& error) {
    const auto refusal = refusal_of(error);
    if (!refusal) return abort();
    if (began_ == Steady::time_point{}) began_ = Steady::now();
    refuse(*refusal);
  }

  // What follows a request that was refused cannot be told apart from it: the connection ends.
  void refuse(const Refusal& refusal) {
    if (request_id_.empty()) request_id_ = make_request_id();
    keep_alive_ = false;
    auto response = problem(refusal.status, refusal.code, refusal.detail, request_id_);
    if (refusal.status == 503) response.headers.emplace_back("Retry-After", "1");
    respond(std::move(response));
  }

  void refuse_method(std::string_view methods) {
    keep_alive_ = keep_alive_ && parser_->is_done();
    auto response = problem(405, "method_not_allowed", "the method is not allowed here", request_id_);
    response.headers.emplace_back("Allow", std::string(methods));
    respond(std::move(response));
  }

  void time_out(std::string_view detail) {
    if (began_ == Steady::time_point{}) began_ = Steady::now();
    boost::system::error_code ignored;
    socket().cancel(ignored);  // the read that did not end
    refuse({408, "timeout", detail});
  }

  void respond(Response response) {
    if (phase_ == Phase::closing) return;
    closing_ = closing_ || !keep_alive_ || core_->draining;
    log_access(response);
    core_->count(method_, target_.route, response.status, Steady::now() - began_);
    core_->buffered_bytes -= std::exchange(reserved_, 0);
    out_ = serialise(response, request_id_, method_ == "HEAD", !closing_, http_1_0_);
    enter(Phase::write, core_->settings.write_timeout);
    asio::async_write(stream_, asio::buffer(out_),
                      [self = this->shared_from_this()](const boost::system::error_code& error, std::size_t) {
                        if (self->phase_ == Phase::closing) return;
                        if (error) return self->abort();
                        self->written();
                      });
  }

  void written() {
    ++served_;
    began_ = {};
    head_began_ = false;
    if (closing_) return close_gently();
    read_head();
  }

  // Says that nothing more comes, and reads what the peer still sends, so that it gets the answer and not a reset.
  void close_gently() {
    boost::system::error_code ignored;
    socket().shutdown(Socket::shutdown_send, ignored);
    enter(Phase::write, std::chrono::milliseconds{1'000});
    discard();
  }

  void discard() {
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(16 << 10), [self = this->shared_from_this()](
                                                            const boost::system::error_code& error, std::size_t) {
      if (self->phase_ == Phase::closing) return;
      if (error) return self->abort();
      self->discard();
    });
  }

  void peer_left(const boost::system::error_code& error) {
    if (phase_ == Phase::write || phase_ == Phase::answer) return;  // timed out, and being told so
    (void)error;
    abort();
  }

  void log_access(const Response& response) {
    if (!core_->settings.access_log) return;
    // Deliveries that went well are counted; a line for each would cost more than they do.
    const bool quiet = target_.route == Route::hook && response.status < 300;
    if (!log::enabled(quiet ? log::Level::debug : log::Level::info)) return;
    const auto ms = std::chrono::duration<double, std::milli>(Steady::now() - began_).count();
    log::write(quiet ? log::Level::debug : log::Level::info, "access",
               fmt::format("{} {} {} {} {} {:.1f}ms {}", peer_, method_.empty() ? "-" : method_,
                           target_.path.empty() ? "-" : target_.path, response.status, response.body.size(), ms,
                           request_id_));
  }

  Stream stream_;
  std::shared_ptr<Core> core_;
  std::string peer_;
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  Phase phase_ = Phase::handshake;
  Steady::time_point deadline_{};
  Steady::time_point began_{};
  bool head_began_ = false;
  bool keep_alive_ = false;
  bool closing_ = false;
  bool http_1_0_ = false;
  std::size_t served_ = 0;
  std::size_t reserved_ = 0;  // of core_->buffered_bytes
  std::string method_;
  std::string request_id_;
  Target target_;
  std::string out_;
};

}  // namespace

void serve_plain(Socket socket, std::shared_ptr<Core> core) {
  std::make_shared<Connection<Socket>>(std::move(socket), std::move(core))->start();
}

void serve_tls(Socket socket, asio::ssl::context& context, std::shared_ptr<Core> core) {
  std::make_shared<Connection<TlsStream>>(TlsStream(std::move(socket), context), std::move(core))->start();
}

}  // namespace patchbay::gateway
