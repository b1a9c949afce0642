#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace patchbay::harness {

// HMAC-SHA256 over messages that begin alike: the state behind key and prefix is kept, so a message costs its tail.
class Signer {
 public:
  Signer(std::string_view key, std::string_view prefix = {});
  ~Signer();
  Signer(Signer&&) noexcept;

  [[nodiscard]] std::string hex(std::string_view tail) const;  // 64 characters, lower case

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The value of X-Hub-Signature-256 (GitHub, "Validating webhook deliveries").
[[nodiscard]] std::string github_signature(std::string_view secret, std::string_view body);

}  // namespace patchbay::harness
