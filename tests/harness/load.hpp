#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace patchbay::harness {

// Where webhooks go: http://127.0.0.1:port/path, signed with secret.
struct Target {
  std::uint16_t port = 0;
  std::string path;
  std::string secret;
};

struct LoadSettings {
  Target target;
  std::string body;  // holds the place holder "BID000000000000" once
  int concurrency = 64;
  double seconds = 0;       // 0: until stop() or count
  std::uint64_t count = 0;  // 0: no limit
  double rate = 0;          // requests a second, evenly spaced; 0: as fast as answers come
  std::uint64_t first_id = 1;
  double patience_seconds = 30;                                  // without any answer for so long it gives up
  std::function<void(std::uint64_t accepted)> on_accepted = {};  // on the generator's thread; cheap
};

struct Sent {
  std::uint64_t id = 0;
  std::uint64_t sent_ns = 0;  // with a rate: when it was due, so that a slow answer makes the next ones late, not fewer
  std::uint64_t answered_ns = 0;
  int status = 0;  // 0: no answer came
  [[nodiscard]] bool accepted() const { return status >= 200 && status < 300; }
};

// The 99th percentile of the times to an answer; 0 when there was none.
[[nodiscard]] double p99_ms(const std::vector<Sent>& all);

// A closed-loop load generator: each of its connections sends the next signed webhook when the last was answered, and
// connects anew when the server went away. With a rate it waits until the next one is due. On a thread of its own from construction on.
class Load {
 public:
  explicit Load(LoadSettings settings);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  [[nodiscard]] std::uint64_t accepted() const { return accepted_.load(std::memory_order_relaxed); }
  void stop() { stop_ = true; }  // no further requests; those under way are waited for
  // Until the load is done; what was sent, in order.
  std::vector<Sent> finish();
  [[nodiscard]] std::uint64_t began_ns() const { return began_ns_; }

 private:
  class Generator;
  LoadSettings settings_;
  std::uint64_t began_ns_;
  std::atomic<std::uint64_t> accepted_{0};
  std::atomic<bool> stop_{false};
  std::vector<Sent> sent_;  // the generator's until it has ended
  std::thread thread_;
};

}  // namespace patchbay::harness
