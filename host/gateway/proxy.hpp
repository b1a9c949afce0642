#pragma once

#include <functional>
#include <optional>
#include <string>

#include "core/executor.hpp"
#include "gateway/core.hpp"
#include "gateway/response.hpp"

namespace patchbay::gateway {

// A complete request for the API behind the gateway, already normal.
struct UpstreamRequest {
  std::string method;
  std::string target;
  Headers headers;  // of normal_headers()
  std::string body;
  std::string request_id;
  std::string client;
  bool secure = false;  // does the client speak TLS?
};

// What of the client's headers goes on: what the API reads, one of each. nullopt: two of one.
[[nodiscard]] std::optional<Headers> normal_headers(const Headers& headers);

// Passes it to 127.0.0.1:api_port with the secret, on a connection of its own, and answers once: what came back, or a
// 502 or 504 problem. On the loop.
void pass_upstream(const std::shared_ptr<Core>& core, UpstreamRequest request,
                   std::move_only_function<void(Response)> done);

}  // namespace patchbay::gateway
