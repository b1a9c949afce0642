#include "harness/load.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>

#include "harness/clock.hpp"
#include "harness/http_scan.hpp"
#include "harness/payload.hpp"
#include "harness/signature.hpp"

namespace patchbay::harness {
namespace {

constexpr std::uint64_t kReconnectNs = 20'000'000;

struct Connection {
  int fd = -1;
  bool connected = false;
  bool busy = false;       // a request is under way
  std::size_t record = 0;  // of that request
  std::string out;
  std::size_t written = 0;
  std::string in;
  std::uint64_t retry_at_ns = 0;
};

std::size_t marker_in(const std::string& body) {
  const auto at = body.find(bench_id(0));
  if (at == std::string::npos) throw std::invalid_argument("the body holds no " + bench_id(0));
  return at;
}

}  // namespace

class Load::Generator {
 public:
  explicit Generator(Load& load)
      : load_(load),
        settings_(load.settings_),
        marker_(marker_in(settings_.body)),
        prefix_(settings_.body.substr(0, marker_)),
        suffix_(settings_.body.substr(marker_ + kBenchIdLength)),
        signer_(settings_.target.secret, prefix_),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        connections_(static_cast<std::size_t>(settings_.concurrency)) {
    head_ = "POST " + settings_.target.path + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(settings_.target.port) +
            "\r\nUser-Agent: GitHub-Hookshot/bench\r\nAccept: */*\r\nContent-Type: application/json\r\n"
            "X-GitHub-Event: issues\r\nContent-Length: " +
            std::to_string(settings_.body.size()) + "\r\nX-GitHub-Delivery: ";
    next_id_ = settings_.first_id;
    ends_ns_ = settings_.seconds > 0 ? load.began_ns_ + static_cast<std::uint64_t>(settings_.seconds * 1e9) : ~0ULL;
  }

  ~Generator() {
    for (auto& connection : connections_) {
      if (connection.fd >= 0) ::close(connection.fd);
    }
    ::close(epoll_);
  }

  void run() {
    std::array<epoll_event, 512> events{};
    last_answer_ns_ = steady_ns();
    const auto patience_ns = static_cast<std::uint64_t>(settings_.patience_seconds * 1e9);
    while (begin_round()) {
      if (steady_ns() - last_answer_ns_ > patience_ns) break;
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), settings_.rate > 0 ? 1 : 20);
      for (int i = 0; i < count; ++i) {
        const auto& event = events[static_cast<std::size_t>(i)];
        handle(connections_[event.data.u64], event.events);
      }
    }
  }

 private:
  bool more() const {
    return !load_.stop_ && steady_ns() < ends_ns_ && (settings_.count == 0 || issued_ < settings_.count);
  }

  // When the next request is to go out.
  std::uint64_t due_ns() const {
    if (settings_.rate <= 0) return 0;
    return load_.began_ns_ + static_cast<std::uint64_t>(static_cast<double>(issued_) / settings_.rate * 1e9);
  }

  // Connects what is not connected, and sends what is due. False: all is sent and answered.
  bool begin_round() {
    const bool wanted = more();
    bool busy = false;
    for (auto& connection : connections_) {
      if (wanted && connection.fd < 0 && steady_ns() >= connection.retry_at_ns) open(connection);
      if (wanted && connection.connected && connection.fd >= 0 && !connection.busy) send_next(connection);
      busy |= connection.busy;
    }
    return busy || wanted;
  }

  void open(Connection& connection) {
    connection.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int one = 1;
    ::setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(settings_.target.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection.connected = false;
    connection.in.clear();
    if (::connect(connection.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 && errno != EINPROGRESS) {
      return close(connection, false);
    }
    arm(connection, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
  }

  void arm(Connection& connection, int operation, std::uint32_t events) {
    epoll_event event{.events = events, .data = {.u64 = static_cast<std::uint64_t>(&connection - connections_.data())}};
    ::epoll_ctl(epoll_, operation, connection.fd, &event);
  }

  // answered: the request that was under way has got its answer.
  void close(Connection& connection, bool answered) {
    if (connection.fd >= 0) ::close(connection.fd);
    connection.fd = -1;
    if (connection.busy && !answered) load_.sent_[connection.record].answered_ns = steady_ns();
    connection.busy = false;
    connection.retry_at_ns = answered ? 0 : steady_ns() + kReconnectNs;
  }

  void send_next(Connection& connection) {
    if (!more() || due_ns() > steady_ns()) return;
    const auto due = settings_.rate > 0 ? due_ns() : steady_ns();
    const std::string id = bench_id(next_id_);
    const std::string tail = id + suffix_;
    connection.out = head_;
    connection.out += id;
    connection.out += "\r\nX-Hub-Signature-256: sha256=";
    connection.out += signer_.hex(tail);
    connection.out += "\r\n\r\n";
    connection.out += prefix_;
    connection.out += tail;
    connection.written = 0;
    connection.busy = true;
    connection.record = load_.sent_.size();
    load_.sent_.push_back({.id = next_id_++, .sent_ns = due});
    ++issued_;
    if (!write(connection)) close(connection, false);
  }

  bool write(Connection& connection) {
    while (connection.written < connection.out.size()) {
      const auto count = ::send(connection.fd, connection.out.data() + connection.written,
                                connection.out.size() - connection.written, MSG_NOSIGNAL);
      if (count > 0) {
        connection.written += static_cast<std::size_t>(count);
      } else if (errno == EAGAIN) {
        arm(connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
        return true;
      } else if (errno != EINTR) {
        return false;
      }
    }
    return true;
  }

  void handle(Connection& connection, std::uint32_t events) {
    if (connection.fd < 0) return;
    if (!connection.connected) {
      int error = 0;
      socklen_t length = sizeof error;
      ::getsockopt(connection.fd, SOL_SOCKET, SO_ERROR, &error, &length);
      if (error != 0) return close(connection, false);
      if ((events & EPOLLOUT) == 0) return;
      connection.connected = true;
      arm(connection, EPOLL_CTL_MOD, EPOLLIN);
      return send_next(connection);
    }
    if ((events & EPOLLOUT) != 0) {
      arm(connection, EPOLL_CTL_MOD, EPOLLIN);
      if (!write(connection)) return close(connection, false);
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read(connection);
  }

  void read(Connection& connection) {
    std::array<char, 16 << 10> buffer;
    bool ended = false;
    for (;;) {
      const auto count = ::read(connection.fd, buffer.data(), buffer.size());
      if (count > 0) {
        connection.in.append(buffer.data(), static_cast<std::size_t>(count));
        if (static_cast<std::size_t>(count) < buffer.size()) break;
        continue;
      }
      ended = count == 0 || (errno != EAGAIN && errno != EINTR);
      break;
    }
    auto message = scan_message(connection.in, ended);
    while (message && message->status == 100) {
      connection.in.erase(0, message->length);
      message = scan_message(connection.in, ended);
    }
    if (!connection.busy || !message) {
      if (ended) close(connection, false);
      return;
    }
    note_answer(connection, message->status);
    connection.in.erase(0, message->length);
    // Refused (503, 429): this connection pauses before it comes again, as a well-behaved sender does.
    if (message->status >= 300) return close(connection, false);
    if (message->close || ended) return close(connection, true);
    send_next(connection);
  }

  void note_answer(Connection& connection, int status) {
    auto& record = load_.sent_[connection.record];
    record.answered_ns = last_answer_ns_ = steady_ns();
    record.status = status;
    connection.busy = false;
    if (!record.accepted()) return;
    const auto accepted = load_.accepted_.fetch_add(1, std::memory_order_relaxed) + 1;
    if (settings_.on_accepted) settings_.on_accepted(accepted);
  }

  Load& load_;
  const LoadSettings& settings_;
  std::size_t marker_;
  std::string prefix_;  // of the body, up to its number
  std::string suffix_;
  Signer signer_;
  std::string head_;  // of the request, up to the delivery's id
  int epoll_;
  std::vector<Connection> connections_;
  std::uint64_t next_id_ = 0;
  std::uint64_t issued_ = 0;
  std::uint64_t ends_ns_ = 0;
  std::uint64_t last_answer_ns_ = 0;
};

Load::Load(LoadSettings settings) : settings_(std::move(settings)), began_ns_(steady_ns()) {
  marker_in(settings_.body);
  sent_.reserve(1 << 16);
  thread_ = std::thread([this] { Generator(*this).run(); });
}

Load::~Load() {
  stop();
  finish();
}

std::vector<Sent> Load::finish() {
  if (thread_.joinable()) thread_.join();
  return std::move(sent_);
}

double p99_ms(const std::vector<Sent>& all) {
  std::vector<double> times;
  for (const auto& sent : all) {
    if (sent.status != 0) times.push_back(static_cast<double>(sent.answered_ns - sent.sent_ns) / 1e6);
  }
  if (times.empty()) return 0;
  const auto at = times.begin() + static_cast<std::ptrdiff_t>(times.size() * 99 / 100);
  std::nth_element(times.begin(), at, times.end());
  return *at;
}

}  // namespace patchbay::harness
