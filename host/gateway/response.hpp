#pragma once

#include <string>
#include <string_view>

#include "gateway/gateway.hpp"

namespace patchbay::gateway {

// An answer before it is written.
struct Response {
  int status = 200;
  std::string content_type;
  std::string body;
  Headers headers;               // beside Content-Type, Content-Length, Connection and X-Request-Id
  std::string head_length = {};  // of an answer to HEAD whose body nobody made: Content-Length as the API said it
};

// RFC 9457. code: "payload_too_large".
[[nodiscard]] Response problem(int status, std::string_view code, std::string_view detail, std::string_view request_id);

// The whole message as it goes out. HEAD: without the body, but with its length.
[[nodiscard]] std::string serialise(const Response& response, std::string_view request_id, bool head, bool keep_alive,
                                    bool http_1_0);

[[nodiscard]] std::string_view reason_of(int status);

}  // namespace patchbay::gateway
