#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "core/error.hpp"

namespace patchbay::vault {

// active: wraps. readable: unwraps only. dropped: is known by name and refused.
enum class KeyState { active, readable, dropped };
[[nodiscard]] constexpr std::string_view name_of(KeyState state) {
  return state == KeyState::active ? "active" : state == KeyState::readable ? "readable" : "dropped";
}

struct KeyInfo {
  std::string id;
  KeyState state;
};

// A data key that only the provider can unwrap.
struct WrappedKey {
  std::string key_id;
  std::string bytes;
};

struct UnwrapOrder {
  std::string_view key_id;
  std::string_view bytes;
  std::string additional_data;  // as it was wrapped with
};

// Who keeps the keys that data keys are wrapped with. Any thread; calls block, those of a remote one for as long as its
// time limit: never on the event loop. Errors: unavailable or timeout: it does not answer, or does not let us in; denied: it
// answers that this is not to be opened (another key, changed, moved, dropped).
class KeyProvider {
 public:
  virtual ~KeyProvider() = default;

  [[nodiscard]] virtual std::string_view id() const = 0;  // as envelopes have it; never changes
  [[nodiscard]] virtual bool is_remote() const = 0;

  virtual Result<WrappedKey> wrap(const Secret& data_key, std::string_view additional_data) = 0;
  // One result for each order, in their order. For many at once: at start, and when everything is sealed anew.
  virtual std::vector<Result<Secret>> unwrap(std::span<const UnwrapOrder> orders) = 0;

  // Oldest first.
  virtual Result<std::vector<KeyInfo>> keys() = 0;
  // Makes a key that wraps from now on; the id. Errc::conflict: this provider's keys are made elsewhere, and where.
  virtual Result<std::string> rotate() = 0;
  // Nothing can be unwrapped with it any more, nor with those before it where drops_older() says so. Errc::conflict: it is the active one, or must be removed elsewhere.
  virtual Result<> drop(std::string_view key_id) = 0;
  [[nodiscard]] virtual bool drops_older() const { return false; }
};

}  // namespace patchbay::vault
