#pragma once

#include <chrono>
#include <deque>
#include <fstream>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "support/http_server.hpp"

namespace patchbay::simulators {

using support::HttpServer;
using support::Request;
using support::Response;

// The next `count` answers go wrong, as the provider's would.
struct Fault {
  int status = 500;  // support::kHangUp: the connection is closed instead
  int count = 1;
  double retry_after_s = 0;  // 0: without Retry-After
  bool after = false;        // the request is carried out all the same, only its answer is lost
};

// So large a part of the answers goes wrong, each in one of these ways: 500 before and after the request is carried out,
// 429 with Retry-After, the connection closed before and after, an answer that comes late, one that comes twice.
struct Chaos {
  double part = 0;  // 0 to 1
  std::uint64_t seed = 1;
  std::chrono::milliseconds late{3000};
};

// What all simulators share: the server, the faults to be shown, what was asked and answered, and the control interface
// under /_sim/, which is not part of any provider:
//   GET    /_sim/requests  the last 1,000 exchanges, without credentials
//   POST   /_sim/chaos     a Fault: {"status": 500, "count": 1, "retry_after": 0, "after": false}, or Chaos until the next one:
//                          {"part": 0.3, "seed": 1, "late_ms": 3000}
class Simulator {
 public:
  struct Settings {
    std::uint16_t port = 0;
    std::string record_file = {};  // each exchange is added as a line of JSON, for tests/npm/openapi_check.mjs
  };

  virtual ~Simulator();
  Simulator(const Simulator&) = delete;
  Simulator& operator=(const Simulator&) = delete;

  [[nodiscard]] const std::string& base_url() const { return base_url_; }
  void fail_next(const Fault& fault);
  void begin_chaos(const Chaos& chaos);
  [[nodiscard]] nlohmann::json requests() const;  // as /_sim/requests lists them
  [[nodiscard]] std::size_t request_count() const;

 protected:
  Simulator(std::string provider, const Settings& settings);

  // To be called last by the constructor, and first by the destructor, of the class that implements answer().
  void listen();
  void close();

  // The provider's answer. mutex_ is held.
  virtual Response answer(const Request& request) = 0;
  // The provider's form of a failure. mutex_ is held.
  virtual Response failure(const Fault& fault) = 0;
  // Its own part of /_sim/; false: there is no such thing. mutex_ is not held.
  virtual bool control(const Request& request, HttpServer::Answer& answer) = 0;

  mutable std::mutex mutex_;  // guards all state here and in derived classes

 private:
  void handle(Request request, HttpServer::Answer answer);
  Response answer_or_fail(const Request& request);
  void note(const Request& request, const Response& response, bool forced);
  Response set_fault(const Request& request);
  Response answer_in_chaos(const Request& request);

  struct Exchange {
    Request request;
    Response response;
  };

  std::string provider_;
  std::uint16_t port_;
  std::deque<Exchange> exchanges_;
  std::size_t request_count_ = 0;
  std::ofstream record_;
  Fault fault_{.count = 0};
  Chaos chaos_;
  std::mt19937_64 random_;
  std::string base_url_;  // for others than the constructor's thread only with mutex_, as in answer()
  std::optional<HttpServer> server_;
};

[[nodiscard]] Response json_response(int status, const nlohmann::json& body, support::Headers headers = {});
// The body as JSON; discarded (nlohmann's word) when it is none.
[[nodiscard]] nlohmann::json parse_body(const Request& request);
// "/repos/octo/hello" -> {"repos", "octo", "hello"}
[[nodiscard]] std::vector<std::string> path_segments(std::string_view path);

}  // namespace patchbay::simulators
