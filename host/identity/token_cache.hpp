#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/time.hpp"
#include "identity/identity.hpp"

namespace patchbay::identity {

// Who a token's SHA-256 belongs to, remembered for a few seconds, so that a client with many calls costs one query.
// Any thread.
class TokenCache {
 public:
  TokenCache(Duration lifetime, std::size_t limit) : lifetime_(lifetime), limit_(limit) {}

  [[nodiscard]] std::optional<Principal> find(std::string_view hash, Timestamp now);

  // What was read from the database may be out of date when it arrives here: take the generation before reading; put()
  // does nothing when something was dropped since.
  [[nodiscard]] std::uint64_t generation() const;
  void put(std::string_view hash, const Principal& principal, Timestamp now, Timestamp valid_until,
           std::uint64_t generation);
  void drop(std::string_view hash);

 private:
  struct Entry {
    Principal principal;
    Timestamp until;
  };
  Duration lifetime_;
  std::size_t limit_;
  mutable std::mutex mutex_;  // guards entries_, generation_
  std::unordered_map<std::string, Entry> entries_;
  std::uint64_t generation_ = 0;
};

}  // namespace patchbay::identity
