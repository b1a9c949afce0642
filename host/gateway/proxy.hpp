#pragma once

#include <functional>
#include <string>

#include "core/executor.hpp"
#include "gateway/core.hpp"
#include "gateway/response.hpp"

namespace patchbay::gateway {

// A complete request for the API behind the gateway, already normal.
struct UpstreamRequest {
  std::string method;
  std::string target;
  Headers headers;  // as the client sent them; hop-by-hop ones and ours are left out here
  std::string body;
  std::string request_id;
  std::string client;
};

// Passes it to 127.0.0.1:api_port with the secret, on a connection of its own, and answers once: what came back, or a
// 502 or 504 problem. On the loop.
void pass_upstream(const std::shared_ptr<Core>& core, UpstreamRequest request,
                   std::move_only_function<void(Response)> done);

}  // namespace patchbay::gateway
