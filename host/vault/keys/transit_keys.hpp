#pragma once

#include <memory>

#include "vault/keys/key_provider.hpp"
#include "vault/settings.hpp"

namespace patchbay::vault {

// A key of HashiCorp Vault's Transit engine, over its HTTP API (developer.hashicorp.com/vault/api-docs/secret/transit). Its
// id is "transit", its keys are the key's versions: "v1", "v2". Data keys are its plaintexts; what they are bound to is its
// associated_data, which engines before 1.9 do not look at (the envelope's own tag covers the same).
// Errc::invalid: a setting is wrong. The engine is not asked yet.
[[nodiscard]] Result<std::unique_ptr<KeyProvider>> make_transit_keys(const TransitSettings& settings);

}  // namespace patchbay::vault
