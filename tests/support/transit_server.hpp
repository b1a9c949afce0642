#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace patchbay::support {

// A stand-in for HashiCorp Vault's Transit engine with one key, "patchbay", and the token "s.token": encrypt, decrypt (with
// batch_input), read, rotate and config, as its API documentation says, with real AES-256-GCM and versions. Any thread.
class TransitServer {
 public:
  TransitServer();
  ~TransitServer();
  TransitServer(const TransitServer&) = delete;
  TransitServer& operator=(const TransitServer&) = delete;

  [[nodiscard]] std::string url() const;

  enum class Trouble {
    none,
    sealed,      // 503, as a vault that was just started
    no_token,    // 403: the token has run out
    hangs_up,    // connections are closed without an answer
    silent,      // no answer within the time limit of any client
    echoes,      // a broken one that does not encrypt
  };
  void set_trouble(Trouble trouble);
  [[nodiscard]] int requests() const;  // so far

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace patchbay::support
