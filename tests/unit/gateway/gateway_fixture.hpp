#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/loop.hpp"
#include "gateway/gateway.hpp"

namespace patchbay::gateway {

// Takes every delivery and remembers it.
class RecordingBackend : public Backend {
 public:
  void hook(HookRequest request, Respond respond) override {
    hooks.push_back(std::move(request));
    if (hold) {
      held.push_back(std::move(respond));
    } else {
      respond({204, "", "", 0});
    }
  }
  bool ready(std::string& why_not) const override {
    why_not = not_ready;
    return not_ready.empty();
  }
  std::string about_json(std::string_view client) const override {
    return "{\"client\":\"" + std::string(client) + "\"}";
  }
  std::string metrics() const override { return large ? std::string(64 << 20, 'm') : "metric 1\n"; }

  std::vector<HookRequest> hooks;
  std::vector<Respond> held;
  bool hold = false;
  bool large = false;
  std::string not_ready;
};

// A client's socket, stepped by the test on the loop's own thread: what it sends in two calls arrives in two reads.
class Client {
 public:
  Client(Loop& loop, std::uint16_t port) : loop_(loop), fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::fcntl(fd_, F_SETFL, O_NONBLOCK);
  }
  ~Client() { close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  [[nodiscard]] bool connected() const { return connected_; }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
      if (sent < 0 && errno != EAGAIN) return;  // the other side has closed: the answer tells why
      loop_.run_ready();
    }
    for (int i = 0; i < 3; ++i) loop_.run_ready();
  }

  // Reads until `count` whole answers have come, or the connection ends, or the time is up.
  std::string receive(std::size_t count = 1) {
    loop_.run_until([&] { return answers() >= count || !read_some(); }, std::chrono::seconds{5});
    return received_;
  }
  [[nodiscard]] bool closed() {
    return loop_.run_until([&] { return !read_some(); }, std::chrono::seconds{5});
  }
  // Reads nothing of what has come: has the other side given up?
  [[nodiscard]] bool reset_by_peer() const {
    pollfd poll{fd_, 0, 0};
    return ::poll(&poll, 1, 0) > 0 && (poll.revents & (POLLERR | POLLHUP)) != 0;
  }
  [[nodiscard]] int descriptor() const { return fd_; }
  // Statuses of the answers, as they came.
  [[nodiscard]] std::vector<int> statuses() const {
    std::vector<int> all;
    for (auto at = received_.find("HTTP/1."); at != std::string::npos; at = received_.find("HTTP/1.", at + 1)) {
      const bool begins = at == 0 || received_[at - 1] == '\n' || received_[at - 1] == '}';
      if (begins && std::isdigit(static_cast<unsigned char>(received_[at + 9])) != 0) {
        all.push_back(std::stoi(received_.substr(at + 9, 3)));
      }
    }
    return all;
  }
  [[nodiscard]] const std::string& received() const { return received_; }

 private:
  bool read_some() {
    char buffer[16384];
    while (true) {
      const auto count = ::recv(fd_, buffer, sizeof buffer, 0);
      if (count > 0) received_.append(buffer, static_cast<std::size_t>(count));
      if (count == 0 || (count < 0 && errno != EAGAIN)) return false;
      if (count < 0) return true;
    }
  }
  std::size_t answers() {
    read_some();
    std::size_t whole = 0;
    for (std::size_t at = 0; at < received_.size();) {
      const auto head = received_.find("\r\n\r\n", at);
      if (head == std::string::npos) break;
      const auto text = received_.substr(at, head - at);
      const auto length = text.find("Content-Length: ");
      at = head + 4 + (length == std::string::npos || head_only ? 0 : std::stoul(text.substr(length + 16)));
      if (at > received_.size()) break;
      ++whole;
    }
    return whole;
  }

 public:
  bool head_only = false;  // answers to HEAD carry a length and no body

 private:
  Loop& loop_;
  int fd_;
  bool connected_ = false;
  std::string received_;
};

class GatewayTest : public ::testing::Test {
 protected:
  void start(GatewaySettings settings = {}) {
    settings.port = 0;
    auto made = Gateway::create(loop_, backend_, std::move(settings));
    ASSERT_TRUE(made.has_value()) << made.error().message;
    gateway_ = *std::move(made);
  }
  std::unique_ptr<Client> client() { return std::make_unique<Client>(loop_, gateway_->port()); }

  Loop loop_;
  RecordingBackend backend_;
  std::unique_ptr<Gateway> gateway_;
};

}  // namespace patchbay::gateway
