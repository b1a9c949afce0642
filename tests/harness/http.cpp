#include "harness/http.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>

namespace patchbay::harness {
namespace {

std::size_t append_body(char* data, std::size_t size, std::size_t count, void* reply) {
  static_cast<Reply*>(reply)->body.append(data, size * count);
  return size * count;
}

std::size_t append_header(char* data, std::size_t size, std::size_t count, void* reply) {
  const std::string_view line(data, size * count);
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return size * count;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  auto value = line.substr(colon + 1);
  value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
  value = value.substr(0, value.find_last_not_of("\r\n ") + 1);
  static_cast<Reply*>(reply)->headers.emplace_back(std::move(name), value);
  return size * count;
}

}  // namespace

std::string_view Reply::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

nlohmann::json Reply::json() const { return nlohmann::json::parse(body); }

struct Http::Impl {
  CURL* easy = curl_easy_init();
  ~Impl() { curl_easy_cleanup(easy); }
};

Http::Http(Cookies cookies) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  impl_ = std::make_unique<Impl>();
  // Any cookie switches them on, in memory, for good; COOKIEFILE would have to be set for each request, and leaks.
  if (cookies == Cookies::kept) curl_easy_setopt(impl_->easy, CURLOPT_COOKIELIST, "Set-Cookie: none=; expires=Thu, 01 Jan 1970 00:00:00 GMT; domain=cookies.example");
}

Http::~Http() = default;

Reply Http::send(const std::string& method, const std::string& url, const Headers& headers, std::string_view body,
                 std::chrono::milliseconds limit) {
  CURL* easy = impl_->easy;
  curl_easy_reset(easy);  // keeps the connection, and the cookies
  Reply reply;
  curl_slist* list = curl_slist_append(nullptr, "Expect:");
  for (const auto& [name, value] : headers) {
    list = curl_slist_append(list, (name + (value.empty() ? ";" : ": " + value)).c_str());
  }
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method.c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(limit.count()));
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, append_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &reply);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, append_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &reply);
  if (method == "HEAD") curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  if (!body.empty() || method == "POST" || method == "PUT") {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.data() == nullptr ? "" : body.data());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
  }
  const CURLcode code = curl_easy_perform(easy);
  curl_slist_free_all(list);
  if (code == CURLE_OK) {
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &reply.status);
  } else {
    reply.error = curl_easy_strerror(code);
  }
  return reply;
}

}  // namespace patchbay::harness
