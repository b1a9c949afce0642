#include "gateway/connection.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/error.hpp>

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

constexpr std::size_t kFirstRead = 2 << 10;     // the head of a usual request
constexpr std::size_t kRoomyBuffer = 32 << 10;  // of a connection that sends more than small requests
constexpr std::size_t kReadAtMost = 64 << 10;
constexpr std::chrono::seconds kRoomyFor{2};  // idle for longer: the memory goes back
constexpr std::chrono::seconds kLinger{1};
constexpr std::chrono::seconds kAnswerGrace{5};  // the API's own time-out comes first

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
    core_->buffered_bytes -= held_;
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
                                if (!error && self->phase_ != Phase::closing) self->read_head();
                              });
    } else {
      read_head();
    }
  }

  void sweep(Steady::time_point now) override {
    if (now < deadline_) {
      if (is_idle() && buffer_.capacity() > kFirstRead && now - idle_since_ > kRoomyFor) shrink();
      return;
    }
    switch (phase_) {
      case Phase::head:
        if (is_idle()) return abort();  // nothing of a request has come: closed without a word
        return time_out("the request's head did not come in time");
      case Phase::body:
        return time_out("the request's body did not come in time");
      case Phase::write:
        return reset();
      case Phase::handshake:
      case Phase::answer:
      case Phase::closing:
        return abort();
    }
  }

  void drain() override {
    closing_ = true;
    if (is_idle()) abort();
  }

  void abort() override {
    phase_ = Phase::closing;
    boost::system::error_code ignored;
    socket().close(ignored);
    core_->connections.erase(this);  // a handler may hold this object for longer
  }

 private:
  enum class Phase { handshake, head, body, answer, write, closing };

  // The client does not read: closed as usual, the kernel would keep for minutes what it never took.
  void reset() {
    boost::system::error_code ignored;
    socket().set_option(asio::socket_base::linger(true, 0), ignored);
    abort();
  }

  [[nodiscard]] bool is_idle() const { return phase_ == Phase::head && !head_began_; }

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
    reader_.emplace();
    reader_->header_limit(static_cast<std::uint32_t>(core_->settings.header_limit_bytes));
    scan_ = {};
    request_id_.clear();
    target_ = {};
    http_1_0_ = false;
    // The time for a head begins with its first byte; before, the connection is idle. A new one has to say something.
    head_began_ = buffer_.size() > 0;
    enter(Phase::head, served_ == 0 || head_began_ ? core_->settings.header_timeout : core_->settings.idle_timeout);
    if (!head_began_) idle_since_ = Steady::now();
    read_some_head();
  }

  // By hand, not by async_read_header: so that the time can begin with the first byte.
  void read_some_head() {
    // An empty line before a request is ignored (RFC 9112, section 2.2).
    while (buffer_.size() >= 2 && scan_.length() == 0 && buffered().starts_with("\r\n")) buffer_.consume(2);
    const auto limit = core_->settings.header_limit_bytes;
    switch (scan_.look(buffered().substr(0, limit + 1))) {
      case HeadScan::Found::malformed:
        return refuse_parse(http::error::bad_line_ending);
      case HeadScan::Found::end:
        return parse_head();
      case HeadScan::Found::more:
        break;
    }
    if (buffer_.size() > limit) return refuse(too_long(buffered()));
    const auto room = std::max<std::size_t>(buffer_.capacity() - buffer_.size(), kFirstRead);
    stream_.async_read_some(buffer_.prepare(room), [self = this->shared_from_this()](
                                                       const boost::system::error_code& failed, std::size_t count) {
      if (self->phase_ == Phase::closing) return;
      if (std::exchange(self->shrinking_, false) && failed == asio::error::operation_aborted) return self->read_again();
      if (failed) return self->peer_left();
      if (!std::exchange(self->head_began_, true) && self->served_ > 0) {
        self->enter(Phase::head, self->core_->settings.header_timeout);
      }
      self->buffer_.commit(count);
      self->read_some_head();
    });
  }

  [[nodiscard]] std::string_view buffered() const {
    const auto data = buffer_.data();
    return {static_cast<const char*>(data.data()), data.size()};
  }

  // Idle for a while: the roomy buffer, on which a read waits, is given back.
  void shrink() {
    shrinking_ = true;
    boost::system::error_code ignored;
    socket().cancel(ignored);
  }
  void read_again() {
    if (!is_idle()) return;
    buffer_ = {};
    out_ = {};
    read_some_head();
  }

  void parse_head() {
    const auto limit = core_->settings.header_limit_bytes;
    if (scan_.length() > limit) return refuse(too_long(buffered()));
    began_ = Steady::now();
    reader_->body_limit(core_->settings.body_limit_bytes);
    boost::system::error_code error;
    const auto used = reader_->put(asio::buffer(buffer_.data(), scan_.length()), error);
    if (error == http::error::bad_version && asks_other_version(buffered())) {
      return refuse({505, "bad_version", "only HTTP/1.0 and 1.1 are served"});
    }
    if (error || !reader_->is_header_done()) return refuse_parse(error);
    buffer_.consume(used);
    head_read();
  }

  void head_read() {
    const auto& head = reader_->head;
    request_id_ = request_id_of(head.find("x-request-id"));
    keep_alive_ = reader_->keep_alive() && !core_->draining;
    http_1_0_ = head.version == 10;
    if (const auto refusal = check_head(head, reader_->chunked())) return refuse(*refusal);
    auto target = parse_target(head.target);
    if (!target) return refuse({400, "bad_request", "the request target is malformed"});
    target_ = *std::move(target);
    if (!is_known_method(head.method)) return refuse({501, "not_implemented", "an unknown method"});
    if (target_.route == Route::none) {
      return answer_without_body(problem(404, "not_found", "nothing is here", request_id_));
    }
    const auto methods = methods_of(target_.route);
    if (!allows(methods, head.method)) {
      auto response = problem(405, "method_not_allowed", "the method is not allowed here", request_id_);
      response.headers.emplace_back("Allow", std::string(methods));
      return answer_without_body(std::move(response));
    }
    const auto limit =
        target_.route == Route::api ? core_->settings.api_body_limit_bytes : core_->settings.body_limit_bytes;
    reader_->body_limit(limit);
    const auto length = reader_->content_length();
    if (length && *length > limit) return refuse({413, "payload_too_large", "the request's body is too large"});
    if (length && *length > buffer_.size()) make_roomy();
    const bool waits = buffer_.size() == 0 && !reader_->is_done() && !http_1_0_ && !head.find("expect").empty();
    enter(Phase::body, core_->settings.body_timeout);
    return waits ? say_continue() : read_some_body();
  }

  // For the next head and its body to come with one read. Only for a connection that is used more than once.
  void make_roomy() {
    if (served_ > 0 && buffer_.capacity() < kRoomyBuffer) buffer_.reserve(kRoomyBuffer);
  }

  void say_continue() {
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(stream_, asio::buffer(kContinue.data(), kContinue.size()),
                      [self = this->shared_from_this()](const boost::system::error_code& error, std::size_t) {
                        if (self->phase_ == Phase::closing) return;
                        if (error) return self->abort();
                        self->read_some_body();
                      });
  }

  void read_some_body() {
    boost::system::error_code error;
    // No chunked body ends with fewer than these, "0 CRLF CRLF", and Beast 1.81 takes it for granted that it never sees
    // fewer of them again once it has seen "0 CRLF" (basic_parser.ipp, parse_chunk_header: it asserts).
    const std::size_t least = reader_->chunked() ? 5 : 1;
    while (!reader_->is_done() && buffer_.size() >= least) {
      const auto used = reader_->put(buffer_.data(), error);
      buffer_.consume(used);
      if (error == http::error::need_more) break;
      if (error) return refuse_parse(error);
      if (used == 0) break;
    }
    if (!core_->hold(held_, reader_->body.size())) {
      return refuse({503, "overloaded", "too many requests are under way"});
    }
    // A chunk's head, extension or trailer must not fill the memory, at once or little by little.
    const auto limit = core_->settings.header_limit_bytes;
    const bool done = reader_->is_done();
    if (reader_->chunk_extension_bytes() > limit || (!done && buffer_.size() > limit)) {
      return refuse({431, "headers_too_large", "the chunks' extensions or trailers are too large"});
    }
    if (done) return dispatch();
    const auto room = std::clamp<std::size_t>(buffer_.capacity() - buffer_.size(), 16 << 10, kReadAtMost);
    stream_.async_read_some(buffer_.prepare(room), [self = this->shared_from_this()](
                                                       const boost::system::error_code& failed, std::size_t count) {
      if (self->phase_ == Phase::closing) return;
      if (failed) return self->peer_left();
      self->buffer_.commit(count);
      self->read_some_body();
    });
  }

  // The request is complete.
  void dispatch() {
    enter(Phase::answer, core_->settings.api_timeout + kAnswerGrace);
    switch (target_.route) {
      case Route::hook:
        return deliver_hook();
      case Route::api:
        return pass_to_api();
      case Route::live:
        return respond({200, "text/plain", "ok\n", {}});
      case Route::ready:
      case Route::health:
        return answer_readiness();
      case Route::metrics:
        return answer_from_backend("text/plain; version=0.0.4", [](Backend& b) { return b.metrics(); });
      case Route::about:
        return answer_from_backend("application/json", [this](Backend& b) { return b.about_json(client()); });
      case Route::options:
        return respond({204, "", "", {{"Allow", std::string(methods_of(Route::api))}}});
      case Route::none:
        return abort();  // was answered when its head had come
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
    if (core_->backend->ready(why_not))
      return respond({200,
                      "application/json",
                      R"({"status":"ok"})"
                      "\n",
                      {}});
    auto response = problem(503, "not_ready", why_not, request_id_);
    response.headers.emplace_back("Retry-After", "1");
    respond(std::move(response));
  }

  std::string client() { return client_behind(core_->trusted_proxies, peer_, reader_->head.headers); }

  void deliver_hook() {
    if (core_->backend == nullptr) return abort();
    HookRequest request;
    request.token = target_.token;
    request.method = reader_->head.method;
    request.query = std::move(target_.query);
    request.client = client();
    request.headers = std::move(reader_->head.headers);
    request.request_id = request_id_;
    request.body = std::move(reader_->body);
    core_->backend->hook(std::move(request), [self = this->shared_from_this()](Answer answer) {
      // What a plugin made: it must not break the message.
      if (answer.status < 200 || answer.status > 599) answer.status = 500;
      if (answer.content_type.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
        answer.content_type = "application/octet-stream";
      }
      Response response{answer.status, std::move(answer.content_type), std::move(answer.body), {}};
      if (answer.retry_after_s > 0) response.headers.emplace_back("Retry-After", std::to_string(answer.retry_after_s));
      self->respond(std::move(response));
    });
  }

  void pass_to_api() {
    const auto& head = reader_->head;
    UpstreamRequest request;
    auto headers = normal_headers(head.headers);
    if (!headers) return refuse({400, "bad_request", "a header that must be single came twice"});
    request.headers = *std::move(headers);
    request.method = head.method;
    request.target = target_.path + (target_.query.empty() ? "" : "?" + target_.query);
    request.client = client();
    request.secure = is_secure_behind(core_->trusted_proxies, peer_, head.headers, kIsTls<Stream>);
    request.request_id = request_id_;
    request.body = std::move(reader_->body);
    pass_upstream(core_, std::move(request),
                  [self = this->shared_from_this()](Response response) { self->respond(std::move(response)); });
  }

  void refuse_parse(const boost::system::error_code& error) {
    const auto refusal = refusal_of(error);
    if (!refusal) return abort();
    refuse(*refusal);
  }

  // What follows a request that was refused cannot be told apart from it: the connection ends.
  void refuse(const Refusal& refusal) {
    if (began_ == Steady::time_point{}) began_ = Steady::now();
    if (request_id_.empty()) request_id_ = request_id_of({});
    keep_alive_ = false;
    auto response = problem(refusal.status, refusal.code, refusal.detail, request_id_);
    if (refusal.status == 503) response.headers.emplace_back("Retry-After", "1");
    respond(std::move(response));
  }

  // The body is not read for this: if there is one, the connection ends.
  void answer_without_body(Response response) {
    keep_alive_ = keep_alive_ && reader_->is_done();
    respond(std::move(response));
  }

  void time_out(std::string_view detail) {
    boost::system::error_code ignored;
    socket().cancel(ignored);  // the read that did not end
    refuse({408, "timeout", detail});
  }

  void respond(Response response) {
    if (phase_ == Phase::closing) return;
    closing_ = closing_ || !keep_alive_ || core_->draining;
    log_access(response);
    const auto& method = reader_->head.method;
    core_->count(method, target_.route, response.status, Steady::now() - began_);
    out_ = serialise(response, request_id_, method == "HEAD", !closing_, http_1_0_);
    reader_->body = {};
    // An answer is never refused for want of room; that it takes room makes others wait.
    core_->buffered_bytes = core_->buffered_bytes - held_ + out_.size();
    held_ = out_.size();
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
    core_->buffered_bytes -= std::exchange(held_, 0);
    if (out_.capacity() > kRoomyBuffer) out_ = {};
    if (closing_) return close_gently();
    read_head();
  }

  // Says that nothing more comes, and reads what the peer still sends, so that it gets the answer and not a reset.
  void close_gently() {
    enter(Phase::write, kLinger);
    if constexpr (kIsTls<Stream>) {
      stream_.async_shutdown([self = this->shared_from_this()](const boost::system::error_code&) {
        if (self->phase_ != Phase::closing) self->linger();
      });
    } else {
      linger();
    }
  }

  void linger() {
    boost::system::error_code ignored;
    socket().shutdown(Socket::shutdown_send, ignored);
    discard();
  }

  void discard() {
    buffer_.clear();
    socket().async_read_some(buffer_.prepare(kFirstRead),
                             [self = this->shared_from_this()](const boost::system::error_code& error, std::size_t) {
                               if (self->phase_ == Phase::closing) return;
                               if (error) return self->abort();
                               self->discard();
                             });
  }

  void peer_left() {
    if (phase_ == Phase::write) return;  // its time was up, and it is being told so
    abort();
  }

  void log_access(const Response& response) {
    if (!core_->settings.access_log) return;
    // Deliveries that went well are counted; a line for each would cost more than they do.
    const bool quiet = target_.route == Route::hook && response.status < 300;
    const auto level = quiet ? log::Level::debug : log::Level::info;
    if (!log::enabled(level)) return;
    const auto& method = reader_->head.method;
    const auto ms = std::chrono::duration<double, std::milli>(Steady::now() - began_).count();
    log::write(level, "access",
               fmt::format("{} {} {} {} {} {:.1f}ms {}", client(), method.empty() ? "-" : method, path_for_log(target_),
                           response.status, response.body.size(), ms, request_id_));
  }

  Stream stream_;
  std::shared_ptr<Core> core_;
  std::string peer_;
  boost::beast::flat_buffer buffer_;
  std::optional<RequestReader> reader_;
  HeadScan scan_;
  Phase phase_ = Phase::handshake;
  Steady::time_point deadline_{};
  Steady::time_point began_{};  // of the request: its head was complete
  Steady::time_point idle_since_{};
  bool head_began_ = false;
  bool shrinking_ = false;  // the read under way was cancelled to give its buffer back
  bool keep_alive_ = false;
  bool closing_ = false;
  bool http_1_0_ = false;
  std::size_t served_ = 0;
  std::size_t held_ = 0;  // of core_->buffered_bytes
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
