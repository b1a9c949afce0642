#include "egress/curl/transfer.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

namespace patchbay::egress {
namespace {

constexpr std::size_t kHeaderLimitBytes = 64 << 10;   // of a whole reply, interim answers included
constexpr std::size_t kReserveAtMostBytes = 1 << 20;  // what a Content-Length alone is believed for

char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

std::string_view trim(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// What a server says of the client's certificate (RFC 8446, 6.2), in OpenSSL's words within libcurl's; empty: nothing.
// With TLS 1.3 it says so after the handshake, so that libcurl knows it as a read that failed.
std::string_view certificate_alert(std::string_view text) {
  const auto begin = text.find("alert ");
  if (begin == std::string_view::npos) return {};
  const auto alert = text.substr(begin, text.find(',', begin) - begin);
  const bool is_about_it = alert.find("certificate") != alert.npos || alert.find("unknown ca") != alert.npos;
  return is_about_it ? alert : std::string_view{};
}

// Both are evaluated: every option of one handle, then the answer.
template <class Value>
void set(CURL* easy, CURLoption option, Value value, bool& ok) {
  ok = curl_easy_setopt(easy, option, value) == CURLE_OK && ok;
}

}  // namespace

Result<std::unique_ptr<Transfer>> Transfer::create(const CurlSettings& settings, const AddressGuard& guard,
                                                   SocketPoller& poller) {
  std::unique_ptr<Transfer> transfer(new Transfer(settings, guard, poller));
  transfer->easy_ = curl_easy_init();
  if (transfer->easy_ == nullptr || !transfer->configure()) {
    return fail(Errc::internal, "libcurl refuses an option of the http client");
  }
  return transfer;
}

Transfer::~Transfer() { curl_easy_cleanup(easy_); }

bool Transfer::configure() {
  bool ok = true;
  set(easy_, CURLOPT_PRIVATE, this, ok);
  set(easy_, CURLOPT_NOSIGNAL, 1L, ok);
  // Names are resolved on threads of libcurl's. Without this an end before their answer (a time-out, a cancel) waits
  // for them, and the loop with it: 3 s measured against a name server that is silent.
  set(easy_, CURLOPT_QUICK_EXIT, 1L, ok);
  set(easy_, CURLOPT_ERRORBUFFER, error_text_.data(), ok);
  set(easy_, CURLOPT_PROTOCOLS_STR, "http,https", ok);
  set(easy_, CURLOPT_FOLLOWLOCATION, 0L, ok);  // by hand: each hop is checked
  // A proxy of the environment would connect where it likes, past the guard.
  set(easy_, CURLOPT_PROXY, "", ok);
  set(easy_, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED), ok);
  set(easy_, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS), ok);
  set(easy_, CURLOPT_SSL_VERIFYPEER, 1L, ok);
  set(easy_, CURLOPT_SSL_VERIFYHOST, 2L, ok);
  set(easy_, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2), ok);
  // With a CA folder libcurl reads the bundle anew for each connection (about 20 ms); with a file it keeps it.
  set(easy_, CURLOPT_CAPATH, static_cast<char*>(nullptr), ok);
  if (!settings_.ca_file.empty()) set(easy_, CURLOPT_CAINFO, settings_.ca_file.c_str(), ok);
  set(easy_, CURLOPT_USERAGENT, settings_.user_agent.c_str(), ok);
  set(easy_, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(settings_.connect_timeout.count()), ok);
  set(easy_, CURLOPT_HEADERFUNCTION, &Transfer::on_header, ok);
  set(easy_, CURLOPT_HEADERDATA, this, ok);
  set(easy_, CURLOPT_WRITEFUNCTION, &Transfer::on_body, ok);
  set(easy_, CURLOPT_WRITEDATA, this, ok);
  set(easy_, CURLOPT_OPENSOCKETFUNCTION, &Transfer::on_open, ok);
  set(easy_, CURLOPT_OPENSOCKETDATA, this, ok);
  // A connection outlives the handle that opened it, so this one gets the poller.
  set(easy_, CURLOPT_CLOSESOCKETFUNCTION, &Transfer::on_close, ok);
  set(easy_, CURLOPT_CLOSESOCKETDATA, &poller_, ok);
  return ok;
}

Result<> Transfer::begin(const std::string& method, Outgoing& outgoing, const Target& target,
                         std::chrono::milliseconds timeout) {
  target_ = &target;
  reply_ = {};
  header_bytes_ = 0;
  head_done_ = false;
  is_head_ = method == "HEAD";
  over_limit_.clear();
  denied_.clear();
  connected_ = false;
  error_text_[0] = '\0';

  bool ok = true;
  set(easy_, CURLOPT_URL, outgoing.url().c_str(), ok);
  set_method(method, outgoing.body());
  set(easy_, CURLOPT_HTTPHEADER, outgoing.headers(), ok);
  set(easy_, CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<std::int64_t>(timeout.count(), 1)), ok);
  if (outgoing.accept_encoding() != accept_encoding_) {
    accept_encoding_ = outgoing.accept_encoding();
    set(easy_, CURLOPT_ACCEPT_ENCODING, accept_encoding_.empty() ? nullptr : accept_encoding_.c_str(), ok);
  }
  // What was signed is what must be sent: libcurl would resolve dots in the path.
  if (outgoing.is_signed() != path_as_is_) {
    path_as_is_ = outgoing.is_signed();
    set(easy_, CURLOPT_PATH_AS_IS, path_as_is_ ? 1L : 0L, ok);
  }
  if (outgoing.is_sent_once() != fresh_) {
    fresh_ = outgoing.is_sent_once();
    set(easy_, CURLOPT_FRESH_CONNECT, fresh_ ? 1L : 0L, ok);
  }
  set_certificate(outgoing.client_certificate(), ok);
  if (!ok) return fail(Errc::invalid, "libcurl refuses the request");
  return {};
}

// libcurl takes a kept connection, and resumes a TLS session, only with the very bytes of the certificate that it was
// made with (since 7.77; its key is not compared, which is why ClientCertificate knows that they belong together).
void Transfer::set_certificate(std::shared_ptr<const ClientCertificate> certificate, bool& ok) {
  if (certificate == certificate_) return;
  const auto give = [&](CURLoption option, std::string_view pem, unsigned flags) {
    curl_blob blob{const_cast<char*>(pem.data()), pem.size(), flags};
    set(easy_, option, pem.empty() ? nullptr : &blob, ok);
  };
  give(CURLOPT_SSLCERT_BLOB, certificate ? certificate->chain_pem() : "", CURL_BLOB_COPY);
  // Not copied: libcurl would not wipe it.
  give(CURLOPT_SSLKEY_BLOB, certificate ? certificate->key_pem() : "", CURL_BLOB_NOCOPY);
  certificate_ = std::move(certificate);
}

void Transfer::set_method(const std::string& method, std::string_view body) {
  const bool sends_body = !body.empty() || method == "POST" || method == "PUT" || method == "PATCH";
  const auto wanted = is_head_ ? Method::head : sends_body ? Method::post : Method::get;
  bool ok = true;
  if (wanted != method_) {
    if (method_ == Method::head) set(easy_, CURLOPT_NOBODY, 0L, ok);
    switch (wanted) {
      case Method::head:
        set(easy_, CURLOPT_NOBODY, 1L, ok);
        break;
      case Method::post:
        set(easy_, CURLOPT_POST, 1L, ok);
        break;
      default:
        set(easy_, CURLOPT_HTTPGET, 1L, ok);
        break;
    }
    method_ = wanted;
  }
  if (wanted == Method::post) {
    set(easy_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()), ok);
    set(easy_, CURLOPT_POSTFIELDS, body.empty() ? "" : body.data(), ok);  // not copied
  }
  const bool is_default = (wanted == Method::get && method == "GET") || (wanted == Method::post && method == "POST") ||
                          wanted == Method::head;
  const std::string_view custom = is_default ? std::string_view{} : std::string_view(method);
  if (custom != custom_method_) {
    custom_method_ = custom;
    set(easy_, CURLOPT_CUSTOMREQUEST, custom_method_.empty() ? nullptr : custom_method_.c_str(), ok);
  }
}

std::expected<HttpReply, Failure> Transfer::end(CURLcode code) {
  if (code != CURLE_OK) return std::unexpected(failure(code));
  // libcurl takes a connection that ends within the headers for a reply that ends there.
  if (!head_done_) return std::unexpected(failure(CURLE_PARTIAL_FILE));
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  reply_.status = static_cast<int>(status);
  if (!accept_encoding_.empty()) {
    // The body is decoded by now; these would describe another one.
    std::erase_if(reply_.headers, [](const auto& header) {
      return header.first == "content-encoding" || header.first == "content-length";
    });
  }
  return std::move(reply_);
}

void Transfer::clear() {
  // Unhooked, since what they point to is about to be wiped. libcurl's own copy of the URL goes with the next one.
  curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, nullptr);
  if (method_ == Method::post) curl_easy_setopt(easy_, CURLOPT_POSTFIELDS, nullptr);
  bool ok = true;
  set_certificate(nullptr, ok);
  target_ = nullptr;
}

std::size_t Transfer::on_header(char* data, std::size_t size, std::size_t count, void* self) {
  return static_cast<Transfer*>(self)->take_header({data, size * count}) ? size * count : 0;
}

std::size_t Transfer::on_body(char* data, std::size_t size, std::size_t count, void* self) {
  return static_cast<Transfer*>(self)->take_body({data, size * count}) ? size * count : 0;
}

bool Transfer::take_header(std::string_view line) {
  header_bytes_ += line.size();
  if (header_bytes_ > kHeaderLimitBytes) {
    over_limit_ = fmt::format("headers of more than {} bytes", kHeaderLimitBytes);
    return false;
  }
  const bool is_trailer = head_done_ && !reply_.body.empty();
  if (is_trailer) return true;
  if (line.starts_with("HTTP/")) {  // also of the final answer after an interim one (RFC 9110, 15.2)
    reply_.headers.clear();
    reply_.headers.reserve(12);
    head_done_ = false;
    return true;
  }
  if (line == "\r\n" || line == "\n") {
    head_done_ = true;
    return true;
  }
  return head_done_ || take_field(line);
}

bool Transfer::take_field(std::string_view line) {
  auto& headers = reply_.headers;
  if (line.front() == ' ' || line.front() == '\t') {  // a folded line (RFC 9112, 5.2)
    if (!headers.empty()) headers.back().second.append(" ").append(trim(line));
    return true;
  }
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return true;
  auto& [name, value] = headers.emplace_back(line.substr(0, colon), trim(line.substr(colon + 1)));
  std::ranges::transform(name, name.begin(), to_lower);
  if (name == "content-length" && !is_head_) {
    std::size_t length = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
    if (error == std::errc{} && length > settings_.reply_limit_bytes) {
      over_limit_ = fmt::format("a body of more than {} bytes", settings_.reply_limit_bytes);
      return false;
    }
    reply_.body.reserve(std::min(length, kReserveAtMostBytes));
  }
  return true;
}

bool Transfer::take_body(std::string_view bytes) {
  if (reply_.body.size() + bytes.size() > settings_.reply_limit_bytes) {
    over_limit_ = fmt::format("a body of more than {} bytes", settings_.reply_limit_bytes);
    return false;
  }
  reply_.body += bytes;
  return true;
}

curl_socket_t Transfer::on_open(void* self, curlsocktype /*purpose*/, curl_sockaddr* address) {
  return static_cast<Transfer*>(self)->open_socket(*address);
}

curl_socket_t Transfer::open_socket(const curl_sockaddr& address) {
  // This is the address that connect() gets, after any resolving: the one place where it can be judged.
  const auto known = to_address(address.addr);
  const auto allowed =
      known ? guard_.check(*known, target_ != nullptr && target_->tls) : Result<>(std::unexpected(known.error()));
  if (!allowed) {
    denied_ = allowed.error().message;
    return CURL_SOCKET_BAD;
  }
  connected_ = true;
  const int socket = ::socket(address.family, address.socktype | SOCK_CLOEXEC, address.protocol);
  if (socket < 0) return CURL_SOCKET_BAD;
  poller_.opened(socket);
  return socket;
}

int Transfer::on_close(void* poller, curl_socket_t socket) {
  static_cast<SocketPoller*>(poller)->closed(socket);
  return ::close(socket);
}

Failure Transfer::failure(CURLcode code) const {
  const std::string host(target_->host());
  const auto with = [&host](Errc errc, std::string_view what, bool may_repeat) {
    return Failure{{errc, fmt::format("{}: {}", host, what)}, may_repeat};
  };
  if (!over_limit_.empty()) return with(Errc::exhausted, "answers with " + over_limit_, false);
  if (const auto alert = certificate_alert(error_text_.data());
      !alert.empty() && code != CURLE_PEER_FAILED_VERIFICATION) {
    return with(Errc::unauthenticated,
                fmt::format("the client certificate is {}: {}", certificate_ ? "refused" : "missing", alert), false);
  }
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return with(Errc::unavailable, "name cannot be resolved", true);
    case CURLE_COULDNT_CONNECT: {
      if (!connected_ && !denied_.empty()) return with(Errc::denied, denied_, false);
      long number = 0;
      curl_easy_getinfo(easy_, CURLINFO_OS_ERRNO, &number);
      const char* const reason = number != 0 ? std::strerror(static_cast<int>(number)) : "no connection";
      return with(Errc::unavailable, reason, true);
    }
    case CURLE_OPERATION_TIMEDOUT:
      return with(Errc::timeout, "no answer in time", true);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return with(Errc::unavailable,
                  fmt::format("tls certificate not verified: {}",
                              error_text_[0] != '\0' ? error_text_.data() : curl_easy_strerror(code)),
                  false);
    case CURLE_SSL_CERTPROBLEM:
      return with(Errc::unauthenticated, "the client certificate cannot be used", false);
    case CURLE_SSL_CLIENTCERT:
      return with(Errc::unauthenticated, "the server wants a client certificate", false);
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return with(Errc::unavailable, curl_easy_strerror(code), true);
    case CURLE_URL_MALFORMAT:
      return with(Errc::invalid, "url is refused", false);
    case CURLE_OUT_OF_MEMORY:
      return with(Errc::exhausted, "out of memory", false);
    default:
      return with(Errc::unavailable, curl_easy_strerror(code), false);
  }
}

}  // namespace patchbay::egress
