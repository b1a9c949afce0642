#include "github/simulator/hookshot.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "core/bytes.hpp"
#include "harness/http.hpp"

namespace patchbay::simulators {
namespace {

constexpr std::chrono::seconds kPatience{10};  // docs.github.com, "Handling webhook deliveries"

std::string hmac_hex(const EVP_MD* digest, std::string_view key, std::string_view body) {
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(digest, key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(body.data()),
       body.size(), mac, &size);
  return to_hex({reinterpret_cast<const char*>(mac), size});
}

harness::Headers headers_of(const HookDelivery& delivery) {
  harness::Headers headers{{"Accept", "*/*"},
                           {"Content-Type", "application/json"},
                           {"User-Agent", "GitHub-Hookshot/0123456"},
                           {"X-GitHub-Delivery", delivery.guid},
                           {"X-GitHub-Event", delivery.event},
                           {"X-GitHub-Hook-ID", std::to_string(delivery.hook_id)},
                           {"X-GitHub-Hook-Installation-Target-ID", std::to_string(delivery.repository_id)},
                           {"X-GitHub-Hook-Installation-Target-Type", "repository"}};
  if (!delivery.secret.empty()) {
    headers.emplace_back("X-Hub-Signature", "sha1=" + hmac_sha1_hex(delivery.secret, delivery.body));
    headers.emplace_back("X-Hub-Signature-256", "sha256=" + hmac_sha256_hex(delivery.secret, delivery.body));
  }
  return headers;
}

}  // namespace

Hookshot::Hookshot() : thread_([this](const std::stop_token& stop) { run(stop); }) {}

Hookshot::~Hookshot() { stop(); }

void Hookshot::stop() {
  std::deque<Job> dropped;
  {
    const std::scoped_lock lock(mutex_);
    stopped_ = true;
    dropped.swap(jobs_);
  }
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void Hookshot::send(HookDelivery delivery, Done done) {
  {
    const std::scoped_lock lock(mutex_);
    if (stopped_) return;
    jobs_.push_back({std::move(delivery), std::move(done)});
  }
  wake_.notify_one();
}

void Hookshot::run(const std::stop_token& stop) {
  harness::Http http;
  while (true) {
    std::unique_lock lock(mutex_);
    if (!wake_.wait(lock, stop, [this] { return !jobs_.empty(); }) || stop.stop_requested()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    const auto reply = http.send("POST", job.delivery.url, headers_of(job.delivery), job.delivery.body, kPatience);
    job.done({.status = reply.status, .error = reply.error});
  }
}

std::string hmac_sha256_hex(std::string_view key, std::string_view body) { return hmac_hex(EVP_sha256(), key, body); }
std::string hmac_sha1_hex(std::string_view key, std::string_view body) { return hmac_hex(EVP_sha1(), key, body); }

}  // namespace patchbay::simulators
