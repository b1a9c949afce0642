#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include <curl/curl.h>

#include "egress/address_guard.hpp"
#include "egress/curl/outgoing.hpp"
#include "egress/curl/socket_poller.hpp"
#include "egress/curl_client.hpp"
#include "egress/target.hpp"

namespace patchbay::egress {

// Why an attempt failed. may_repeat: the connection was lost or never made, so another attempt may do better.
struct Failure {
  Error error;
  bool may_repeat = false;
};

// One libcurl easy handle with its fixed options, used for one attempt after the other. On the loop only.
class Transfer {
 public:
  // settings, guard and poller outlive it.
  [[nodiscard]] static Result<std::unique_ptr<Transfer>> create(const CurlSettings& settings, const AddressGuard& guard,
                                                                SocketPoller& poller);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // Sets what differs from one attempt to the next. outgoing and target stay until end().
  [[nodiscard]] Result<> begin(const std::string& method, Outgoing& outgoing, const Target& target,
                               std::chrono::milliseconds timeout);
  // Once libcurl is through with it: the reply, or what went wrong.
  [[nodiscard]] std::expected<HttpReply, Failure> end(CURLcode code);
  // Forgets the attempt's secrets.
  void clear();

  [[nodiscard]] CURL* easy() { return easy_; }

  void* owner = nullptr;  // whose attempt it is

 private:
  enum class Method { unset, get, head, post };

  Transfer(const CurlSettings& settings, const AddressGuard& guard, SocketPoller& poller)
      : settings_(settings), guard_(guard), poller_(poller) {}
  [[nodiscard]] bool configure();
  void set_certificate(std::shared_ptr<const ClientCertificate> certificate, bool& ok);
  void set_method(const std::string& method, std::string_view body);
  [[nodiscard]] bool take_header(std::string_view line);
  [[nodiscard]] bool take_field(std::string_view line);
  [[nodiscard]] bool take_body(std::string_view bytes);
  [[nodiscard]] curl_socket_t open_socket(const curl_sockaddr& address);
  [[nodiscard]] Failure failure(CURLcode code) const;

  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self);
  static curl_socket_t on_open(void* self, curlsocktype purpose, curl_sockaddr* address);
  static int on_close(void* poller, curl_socket_t socket);

  const CurlSettings& settings_;
  const AddressGuard& guard_;
  SocketPoller& poller_;
  CURL* easy_ = nullptr;
  std::array<char, CURL_ERROR_SIZE> error_text_{};

  // what the handle was last told
  Method method_ = Method::unset;
  std::string custom_method_;
  std::string accept_encoding_;
  bool path_as_is_ = false;
  bool fresh_ = false;
  std::shared_ptr<const ClientCertificate> certificate_;  // libcurl looks at its key until it is told another

  // of the present attempt
  const Target* target_ = nullptr;
  HttpReply reply_;
  std::size_t header_bytes_ = 0;
  bool head_done_ = false;  // the blank line was seen; what follows are trailers
  bool is_head_ = false;    // a HEAD request: Content-Length tells of no body here
  std::string over_limit_;  // what was too large
  std::string denied_;      // why the last address was refused
  bool connected_ = false;  // an address was let through
};

}  // namespace patchbay::egress
