#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "store/database.hpp"
#include "vault/vault.hpp"

namespace patchbay::vault {

struct ResealProgress {
  std::string table;
  std::int64_t looked_at = 0;
  std::int64_t sealed_anew = 0;
  std::int64_t changed_meanwhile = 0;  // by a host; the next pass looks at them
};

// Seals everything anew that is not under the present keys (or of an older format), while hosts work on the database: in
// small transactions, each row only if its bytes are still the ones that were read. Stopped anywhere, it goes on from there
// when it is called again, for what is done is not done twice. progress is called after each lot. Returns the number of
// rows sealed anew. Errc::denied: a row does not open, and which; unavailable: a key provider does not answer.
[[nodiscard]] Result<std::int64_t> reseal_all(store::Database& database, const Vault& vault,
                                              const std::function<void(const ResealProgress&)>& progress);

// How many rows name each key. One that names two counts for both.
[[nodiscard]] Result<std::map<KeyName, std::int64_t>> count_keys(store::Database& database);

}  // namespace patchbay::vault
