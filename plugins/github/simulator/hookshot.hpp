#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace patchbay::simulators {

// One webhook on its way. The same fields and headers as GitHub's own deliveries have.
struct HookDelivery {
  std::string url = {};
  std::string secret = {};  // empty: not signed
  std::string event = {};
  std::string guid = {};
  long long hook_id = 0;
  long long repository_id = 0;
  std::string body = {};
};

struct HookReply {
  long status = 0;  // 0: no answer within 10 s; error says why
  std::string error = {};
};

// Sends webhooks, one after another, on a thread of its own. GitHub gives a receiver 10 s and does not try again.
class Hookshot {
 public:
  using Done = std::move_only_function<void(HookReply)>;  // on the thread of Hookshot

  Hookshot();
  ~Hookshot();
  Hookshot(const Hookshot&) = delete;
  Hookshot& operator=(const Hookshot&) = delete;

  void send(HookDelivery delivery, Done done);  // any thread
  // Waits for what is under way and drops the rest, also what is sent later.
  void stop();

 private:
  struct Job {
    HookDelivery delivery;
    Done done;
  };
  void run(const std::stop_token& stop);

  std::mutex mutex_;  // guards jobs_ and stopped_
  std::condition_variable_any wake_;
  std::deque<Job> jobs_;
  bool stopped_ = false;
  std::jthread thread_;
};

// "X-Hub-Signature-256: sha256=<this>"
[[nodiscard]] std::string hmac_sha256_hex(std::string_view key, std::string_view body);
[[nodiscard]] std::string hmac_sha1_hex(std::string_view key, std::string_view body);

}  // namespace patchbay::simulators
