#include "harness/sink.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "harness/clock.hpp"
#include "harness/http_scan.hpp"
#include "harness/payload.hpp"

namespace patchbay::harness {
namespace {

constexpr std::string_view kNoContent = "HTTP/1.1 204 No Content\r\n\r\n";

[[noreturn]] void raise_errno(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

void watch(int epoll, int fd) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

}  // namespace

struct Sink::Connection {
  int fd = -1;
  std::string in;
  std::string out;
  std::uint64_t serial;
  Connection(int socket, std::uint64_t number) : fd(socket), serial(number) {}
  Connection(Connection&& other) noexcept : fd(std::exchange(other.fd, -1)), serial(other.serial) {}
  ~Connection() {
    if (fd >= 0) ::close(fd);
  }
};

Sink::Sink(std::chrono::milliseconds delay) : delay_(delay) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  wake_ = ::eventfd(0, EFD_CLOEXEC);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof address;
  if (::bind(listener_, generic, length) != 0 || ::listen(listener_, 4096) != 0) raise_errno("sink");
  if (::getsockname(listener_, generic, &length) != 0) raise_errno("sink");
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

Sink::~Sink() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof one);
  thread_.join();
  ::close(listener_);
  ::close(wake_);
}

std::vector<Arrival> Sink::arrivals() const {
  const std::scoped_lock lock(mutex_);
  return arrivals_;
}

void Sink::clear() {
  const std::scoped_lock lock(mutex_);
  arrivals_.clear();
  count_ = 0;
}

void Sink::serve() {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  watch(epoll, listener_);
  watch(epoll, wake_);
  std::unordered_map<int, Connection> connections;
  std::array<epoll_event, 512> events{};
  for (bool stop = false; !stop;) {
    const int count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), wait_ms());
    while (!answers_.empty() && answers_.front().due_ns <= steady_ns()) {
      const auto& answer = answers_.front();
      const auto found = connections.find(answer.fd);
      if (found != connections.end() && found->second.serial == answer.connection) {
        [[maybe_unused]] const auto sent = ::send(answer.fd, kNoContent.data(), kNoContent.size(), MSG_NOSIGNAL);
      }
      answers_.pop_front();
    }
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == wake_) {
        stop = true;
      } else if (fd == listener_) {
        for (int client = accept_one(); client >= 0; client = accept_one()) {
          connections.try_emplace(client, client, ++connections_);
          watch(epoll, client);
        }
      } else if (const auto found = connections.find(fd); found != connections.end()) {
        // A socket that is closed here can still be reported: a child that is just being started holds it until exec.
        if (!read_and_answer(found->second)) connections.erase(found);
      }
    }
  }
  ::close(epoll);
}

int Sink::wait_ms() const {
  if (answers_.empty()) return -1;
  const auto now = steady_ns();
  const auto due = answers_.front().due_ns;
  return due <= now ? 0 : static_cast<int>((due - now + 999'999) / 1'000'000);
}

// The next client's socket; -1: there is none.
int Sink::accept_one() {
  const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  const int one = 1;
  if (fd >= 0) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

// False: the connection is done with.
bool Sink::read_and_answer(Connection& connection) {
  static thread_local std::array<char, 1 << 16> buffer;
  bool open = true;
  for (;;) {
    const auto count = ::read(connection.fd, buffer.data(), buffer.size());
    if (count > 0) {
      connection.in.append(buffer.data(), static_cast<std::size_t>(count));
      if (static_cast<std::size_t>(count) < buffer.size()) break;
      continue;
    }
    open = count < 0 && (errno == EAGAIN || errno == EINTR);
    break;
  }
  while (take_request(connection)) {
  }
  // Answers are 27 bytes each: they always fit into the socket's buffer.
  if (!connection.out.empty() &&
      ::send(connection.fd, connection.out.data(), connection.out.size(), MSG_NOSIGNAL) < 0) {
    open = false;
  }
  connection.out.clear();
  return open;
}

bool Sink::take_request(Connection& connection) {
  const auto message = scan_message(connection.in);
  if (!message) return false;
  const auto body = std::string_view(connection.in).substr(message->head, message->length - message->head);
  const auto marker = body.find("BID");
  if (marker != std::string_view::npos && marker + kBenchIdLength <= body.size()) {
    const std::string digits(body.substr(marker + 3, kBenchIdLength - 3));
    const auto key = message->idempotency_key;
    const Arrival arrival{.id = std::strtoull(digits.c_str(), nullptr, 10),
                          .key_hash = key.empty() ? 0 : std::hash<std::string_view>{}(key) | 1,
                          .at_ns = steady_ns()};
    const std::scoped_lock lock(mutex_);
    arrivals_.push_back(arrival);
    count_.fetch_add(1, std::memory_order_relaxed);
  }
  if (delay_.count() == 0) connection.out += kNoContent;
  else answers_.push_back({steady_ns() + static_cast<std::uint64_t>(delay_.count()), connection.fd, connection.serial});
  connection.in.erase(0, message->length);
  return true;
}

}  // namespace patchbay::harness
