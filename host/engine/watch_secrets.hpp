#pragma once

#include <span>

#include "engine/flow_store.hpp"
#include "vault/vault.hpp"

namespace patchbay::engine {

// Opens the secrets of watches that were read, where they are read: on the loop nobody may wait for a key provider, and an
// envelope that is kept in memory may be of a key that is dropped meanwhile. One that does not open stays sealed, and why
// is logged. Blocks; any thread but the loop's.
void open_secrets(const vault::Vault& vault, std::span<WatchRecord> records);

}  // namespace patchbay::engine
