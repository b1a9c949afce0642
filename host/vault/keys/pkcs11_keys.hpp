#pragma once

#include <memory>

#include "vault/keys/key_provider.hpp"
#include "vault/settings.hpp"

namespace patchbay::vault {

// AES keys of a PKCS#11 token (a hardware security module, a cloud's KMS behind its module, SoftHSM), used with
// CKM_AES_GCM; they never leave it. Its id is "pkcs11", its keys' ids are their CKA_ID in hexadecimal digits; the greatest
// number wraps, the others unwrap. The module is loaded at the first use, so that a host starts while the token is away.
// Errc::invalid: a setting is wrong.
[[nodiscard]] Result<std::unique_ptr<KeyProvider>> make_pkcs11_keys(const Pkcs11Settings& settings);

}  // namespace patchbay::vault
