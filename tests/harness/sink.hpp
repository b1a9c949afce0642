#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace patchbay::harness {

// What arrived at the far end: one request that carried a bench id.
struct Arrival {
  std::uint64_t id = 0;
  std::uint64_t key_hash = 0;  // of its Idempotency-Key; 0: it had none
  std::uint64_t at_ns = 0;
};

// The far end of the way: an HTTP server on loopback that answers 204 to everything and notes the bench ids, on a
// thread of its own.
class Sink {
 public:
  // Answers each request after so long. Listens on a port that the system chooses; throws std::system_error.
  explicit Sink(std::chrono::milliseconds delay = {});
  ~Sink();
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/reaction"; }
  [[nodiscard]] std::vector<Arrival> arrivals() const;
  [[nodiscard]] std::size_t count() const { return count_.load(std::memory_order_relaxed); }
  void clear();

 private:
  struct Connection;
  struct Answer {
    std::uint64_t due_ns;
    int fd;
    std::uint64_t connection;
  };
  void serve();
  int accept_one();
  bool read_and_answer(Connection& connection);
  bool take_request(Connection& connection);
  [[nodiscard]] int wait_ms() const;

  const std::chrono::nanoseconds delay_;
  std::deque<Answer> answers_;  // that are due later, of the thread only
  std::uint64_t connections_ = 0;

  int listener_ = -1;
  int wake_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<std::size_t> count_{0};
  mutable std::mutex mutex_;  // guards arrivals_
  std::vector<Arrival> arrivals_;
  std::thread thread_;
};

}  // namespace patchbay::harness
