#pragma once

#include <memory>

#include "vault/keys/key_ring.hpp"

namespace patchbay::vault {

// Data keys wrapped with AES-256-GCM by the keys of a ring. Its id is "local".
[[nodiscard]] std::unique_ptr<KeyProvider> make_local_keys(std::shared_ptr<KeyRing> ring);

}  // namespace patchbay::vault
