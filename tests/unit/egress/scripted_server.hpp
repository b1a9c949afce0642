#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace patchbay::egress::testing {

struct Received {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  int connection = 0;    // the how many-th, from 0
  std::string client;    // the common name of the client's certificate
  bool resumed = false;  // the TLS session is that of an earlier connection

  [[nodiscard]] std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

// What the server sends back, byte for byte, and what it does to the connection then.
struct Scripted {
  enum class Then { keep, close, reset };
  std::string bytes;
  Then then = Then::keep;
};

using HeaderList = std::vector<std::pair<std::string, std::string>>;

inline Scripted reply(int status, const std::string& body = "", const HeaderList& headers = {}) {
  std::string bytes = "HTTP/1.1 " + std::to_string(status) + " Status\r\n";
  for (const auto& [name, value] : headers) bytes += name + ": " + value + "\r\n";
  bytes += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  return {bytes};
}

inline Scripted silence() { return {""}; }
inline Scripted redirect(int status, const std::string& location) {
  return reply(status, "", {{"Location", location}});
}

// A real HTTP/1.1 server on loopback: one thread, each request answered by the script, in the order they come.
class ScriptedServer {
 public:
  using Script = std::function<Scripted(const Received&)>;

  explicit ScriptedServer(Script script, SSL_CTX* tls = nullptr) : script_(std::move(script)), tls_(tls) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    ::listen(listener_, 1024);
    socklen_t length = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    stop_ = ::eventfd(0, EFD_CLOEXEC);
    thread_ = std::thread([this] { run(); });
  }
  ~ScriptedServer() {
    const std::uint64_t one = 1;
    if (::write(stop_, &one, sizeof one) < 0) std::abort();
    thread_.join();
    connections_.clear();
    ::close(listener_);
    ::close(stop_);
  }

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] std::string url(const std::string& path = "/", const std::string& host = "127.0.0.1") const {
    return (tls_ != nullptr ? "https://" : "http://") + host + ":" + std::to_string(port_) + path;
  }
  [[nodiscard]] std::vector<Received> received() const {
    const std::lock_guard lock(mutex_);
    return received_;
  }
  [[nodiscard]] std::size_t count() const {
    const std::lock_guard lock(mutex_);
    return received_.size();
  }
  [[nodiscard]] int connections() const {
    const std::lock_guard lock(mutex_);
    return accepted_;
  }

 private:
  struct Connection {
    int socket = -1;
    int number = 0;
    SSL* ssl = nullptr;
    std::string input;

    Connection(int s, int n) : socket(s), number(n) {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() {
      SSL_free(ssl);
      ::close(socket);
    }
    // Closed with something unread, the connection would be reset, and what was sent last be lost.
    void let_alert_arrive() const {
      ::shutdown(socket, SHUT_WR);
      char buffer[4096];
      while (::recv(socket, buffer, sizeof buffer, 0) > 0) {
      }
    }
    bool receive() {
      char buffer[65536];
      const auto count = ssl != nullptr ? SSL_read(ssl, buffer, sizeof buffer)
                                        : static_cast<int>(::recv(socket, buffer, sizeof buffer, 0));
      if (count <= 0) return false;
      input.append(buffer, static_cast<std::size_t>(count));
      return true;
    }
    void transmit(const std::string& bytes) const {
      std::size_t sent = 0;
      while (sent < bytes.size()) {
        const auto left = bytes.size() - sent;
        const auto count = ssl != nullptr ? SSL_write(ssl, bytes.data() + sent, static_cast<int>(left))
                                          : static_cast<int>(::send(socket, bytes.data() + sent, left, MSG_NOSIGNAL));
        if (count <= 0) return;
        sent += static_cast<std::size_t>(count);
      }
    }
  };

  void run() {
    for (;;) {
      std::vector<pollfd> waits{{stop_, POLLIN, 0}, {listener_, POLLIN, 0}};
      for (const auto& connection : connections_) waits.push_back({connection->socket, POLLIN, 0});
      if (::poll(waits.data(), waits.size(), -1) < 0) return;
      if (waits[0].revents != 0) return;
      std::vector<std::unique_ptr<Connection>> kept;
      for (std::size_t i = 2; i < waits.size(); ++i) {
        auto& connection = connections_[i - 2];
        if (waits[i].revents == 0 || (connection->receive() && serve(*connection))) {
          kept.push_back(std::move(connection));
        }
      }
      connections_ = std::move(kept);
      if (waits[1].revents != 0) accept_one();
    }
  }

  void accept_one() {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    const int one = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    // A client that does not go on must not stop the test from ending.
    const timeval patience{5, 0};
    ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    auto connection = std::make_unique<Connection>(socket, accepted_);
    {
      const std::lock_guard lock(mutex_);
      ++accepted_;
    }
    if (tls_ != nullptr) {
      connection->ssl = SSL_new(tls_);
      SSL_set_fd(connection->ssl, socket);
      if (SSL_accept(connection->ssl) != 1) return connection->let_alert_arrive();
    }
    connections_.push_back(std::move(connection));
  }

  bool serve(Connection& connection) {
    while (auto request = take_request(connection)) {
      {
        const std::lock_guard lock(mutex_);
        received_.push_back(*request);
      }
      const auto answer = script_(*request);
      connection.transmit(answer.bytes);
      if (answer.then == Scripted::Then::reset) {
        const linger at_once{1, 0};
        ::setsockopt(connection.socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      }
      // A session whose connection just breaks off is not resumed.
      if (answer.then == Scripted::Then::close && connection.ssl != nullptr) SSL_shutdown(connection.ssl);
      if (answer.then != Scripted::Then::keep) return false;
    }
    return true;
  }

  static void note_client(SSL* ssl, Received& request) {
    request.resumed = SSL_session_reused(ssl) == 1;
    X509* const certificate = SSL_get1_peer_certificate(ssl);
    if (certificate == nullptr) return;
    char name[64] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
    request.client = name;
    X509_free(certificate);
  }

  static std::unique_ptr<Received> take_request(Connection& connection) {
    auto& input = connection.input;
    const auto head_end = input.find("\r\n\r\n");
    if (head_end == std::string::npos) return nullptr;
    auto request = std::make_unique<Received>();
    request->connection = connection.number;
    if (connection.ssl != nullptr) note_client(connection.ssl, *request);
    std::size_t line_begin = 0;
    for (bool first = true; line_begin < head_end + 2; first = false) {
      const auto line_end = input.find("\r\n", line_begin);
      const auto line = input.substr(line_begin, line_end - line_begin);
      line_begin = line_end + 2;
      if (first) {
        request->method = line.substr(0, line.find(' '));
        request->target = line.substr(line.find(' ') + 1, line.rfind(' ') - line.find(' ') - 1);
        continue;
      }
      const auto colon = line.find(':');
      auto name = line.substr(0, colon);
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      const auto value_begin = line.find_first_not_of(' ', colon + 1);
      request->headers[name] = value_begin == std::string::npos ? "" : line.substr(value_begin);
    }
    const auto length_text = request->header("content-length");
    const auto length = length_text.empty() ? std::size_t{0} : std::stoul(length_text);
    if (input.size() < head_end + 4 + length) return nullptr;
    request->body = input.substr(head_end + 4, length);
    input.erase(0, head_end + 4 + length);
    return request;
  }

  Script script_;
  SSL_CTX* tls_;
  int listener_ = -1;
  int stop_ = -1;
  int port_ = 0;
  mutable std::mutex mutex_;  // guards received_ and, for others than its thread, accepted_
  std::vector<Received> received_;
  int accepted_ = 0;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::thread thread_;
};

}  // namespace patchbay::egress::testing
