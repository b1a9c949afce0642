#pragma once

#include <memory>
#include <string>

#include <p11-kit/pkcs11.h>

#include "core/error.hpp"

namespace patchbay::vault {

// A PKCS#11 module of this process: loaded once, started when it is first used and ended with its last user, for a module
// can be started only once a process. It stays mapped: modules leave handlers behind.
class Pkcs11Module {
 public:
  // Errc::unavailable: it cannot be loaded or does not start, with the reason.
  [[nodiscard]] static Result<std::shared_ptr<Pkcs11Module>> load(const std::string& path);
  ~Pkcs11Module();

  [[nodiscard]] CK_FUNCTION_LIST& call() { return *functions_; }

 private:
  explicit Pkcs11Module(CK_FUNCTION_LIST* functions) : functions_(functions) {}
  CK_FUNCTION_LIST* functions_;
};

}  // namespace patchbay::vault
