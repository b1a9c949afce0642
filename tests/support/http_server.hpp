#pragma once

#include <cstdint>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace patchbay::support {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method = {};
  std::string target;      // as it came: "/a?b=1"
  std::string path;        // "/a", not decoded
  std::string query = {};  // "b=1"
  Headers headers = {};
  std::string body = {};
  [[nodiscard]] std::string_view header(std::string_view name) const;  // any case; empty when there is none
  // Of the query, with %XX and + decoded.
  [[nodiscard]] std::string parameter(std::string_view name, std::string_view otherwise = {}) const;
};

inline constexpr int kHangUp = 0;

struct Response {
  int status = 200;  // kHangUp: the connection is closed without an answer
  Headers headers = {};
  std::string body = {};
  std::chrono::milliseconds delay = {};  // before it goes out
  bool twice = false;                    // once more behind itself, and then the connection is closed
};

// A small HTTP/1.1 server on loopback with a thread of its own: what simulators and tests listen with. Keep-alive,
// many connections, no TLS. Never part of the host.
class HttpServer {
 public:
  // May be called once, later and from any thread, but not after the server is gone. One that is dropped closes the
  // connection.
  using Answer = std::move_only_function<void(Response)>;
  using Handler = std::function<void(Request, Answer)>;  // on the server's thread; must not block

  // Port 0: the system chooses. Throws when it cannot listen.
  explicit HttpServer(Handler handler, std::uint16_t port = 0);
  // Closes all connections and waits for the thread.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::string base_url() const;  // "http://127.0.0.1:12345"

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace patchbay::support
