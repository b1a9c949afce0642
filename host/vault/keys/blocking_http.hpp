#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/bytes.hpp"
#include "core/error.hpp"

namespace patchbay::vault {

struct BlockingRequest {
  std::string method;
  std::string url;
  std::vector<std::pair<std::string, Secret>> headers;
  Secret body;
};

struct BlockingReply {
  long status = 0;
  Secret body;
};

// One kept connection to a service that holds secrets: no redirects, no proxy, TLS verified, answers of up to 8 MiB. Any
// thread; one request at a time, each for at most the time limit.
class BlockingHttp {
 public:
  BlockingHttp(std::string ca_file, std::chrono::milliseconds timeout);
  ~BlockingHttp();

  // Errc::unavailable: no connection, or TLS that is not to be trusted; timeout.
  [[nodiscard]] Result<BlockingReply> send(const BlockingRequest& request);

 private:
  struct Handle;

  const std::string ca_file_;
  const std::chrono::milliseconds timeout_;
  std::mutex mutex_;  // guards handle_
  std::unique_ptr<Handle> handle_;
};

}  // namespace patchbay::vault
