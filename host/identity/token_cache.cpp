#include "identity/token_cache.hpp"

#include <algorithm>

namespace patchbay::identity {

std::optional<Principal> TokenCache::find(std::string_view hash, Timestamp now) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(std::string(hash));
  if (entry == entries_.end()) return std::nullopt;
  if (now < entry->second.until) return entry->second.principal;
  entries_.erase(entry);
  return std::nullopt;
}

std::uint64_t TokenCache::generation() const {
  const std::lock_guard lock(mutex_);
  return generation_;
}

void TokenCache::put(std::string_view hash, const Principal& principal, Timestamp now, Timestamp valid_until,
                     std::uint64_t generation) {
  const std::lock_guard lock(mutex_);
  if (generation != generation_) return;
  if (entries_.size() >= limit_) std::erase_if(entries_, [&](const auto& entry) { return entry.second.until <= now; });
  if (entries_.size() >= limit_) entries_.clear();
  entries_.insert_or_assign(std::string(hash), Entry{principal, std::min(now + lifetime_, valid_until)});
}

void TokenCache::drop(std::string_view hash) {
  const std::lock_guard lock(mutex_);
  ++generation_;
  entries_.erase(std::string(hash));
}

}  // namespace patchbay::identity
