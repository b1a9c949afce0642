#include "vault/keys/blocking_http.hpp"

#include <csignal>
#include <cstring>

#include <curl/curl.h>
#include <sodium.h>

namespace patchbay::vault {
namespace {

constexpr std::size_t kLargestReply = 8 << 20;

// As egress does it, for commands that have no egress. Both are allowed: libcurl counts.
bool start_libcurl() {
  static const bool started = std::signal(SIGPIPE, SIG_IGN) != SIG_ERR && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return started;
}

std::size_t take(char* bytes, std::size_t size, std::size_t count, void* into) {
  auto& body = *static_cast<std::string*>(into);
  if (body.size() + size * count > kLargestReply) return 0;
  if (body.capacity() < body.size() + size * count) {  // grown by hand: what is left behind may be a key
    std::string larger;
    larger.reserve(2 * (body.size() + size * count));
    larger = body;
    wipe(body);
    body.swap(larger);
  }
  body.append(bytes, size * count);
  return size * count;
}

}  // namespace

struct BlockingHttp::Handle {
  CURL* curl = curl_easy_init();
  curl_slist* headers = nullptr;

  ~Handle() {
    forget_headers();
    curl_easy_cleanup(curl);
  }
  void add_header(const std::string& name, const Secret& value) {
    std::string line = name + ": " + std::string(value.reveal());
    headers = curl_slist_append(headers, line.c_str());
    wipe(line);
  }
  void forget_headers() {
    for (auto* header = headers; header != nullptr; header = header->next) sodium_memzero(header->data, std::strlen(header->data));
    curl_slist_free_all(headers);
    headers = nullptr;
  }
};

BlockingHttp::BlockingHttp(std::string ca_file, std::chrono::milliseconds timeout)
    : ca_file_(std::move(ca_file)), timeout_(timeout) {}
BlockingHttp::~BlockingHttp() = default;

Result<BlockingReply> BlockingHttp::send(const BlockingRequest& request) {
  const std::lock_guard lock(mutex_);
  if (!start_libcurl()) return fail(Errc::internal, "libcurl does not start");
  if (!handle_) handle_ = std::make_unique<Handle>();
  auto* curl = handle_->curl;
  curl_easy_reset(curl);  // the connection stays
  for (const auto& [name, value] : request.headers) handle_->add_header(name, value);
  std::string body;
  body.reserve(4096);
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, handle_->headers);
  if (request.method != "GET") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.reveal().data());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.reveal().size()));
  }
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_.count()));
  if (!ca_file_.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file_.c_str());
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &take);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
  const auto code = curl_easy_perform(curl);
  handle_->forget_headers();
  BlockingReply reply;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply.status);
  reply.body = Secret(std::move(body));
  if (code == CURLE_OK) return reply;
  return fail(code == CURLE_OPERATION_TIMEDOUT ? Errc::timeout : Errc::unavailable, curl_easy_strerror(code));
}

}  // namespace patchbay::vault
