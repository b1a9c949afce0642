#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "core/error.hpp"
#include "core/time.hpp"
#include "vault/keys/key_provider.hpp"
#include "vault/purpose.hpp"
#include "vault/settings.hpp"

namespace patchbay::vault {

class KeyRing;

// A secret as it is kept, and what it is to belong to.
struct Sealed {
  std::string_view envelope;
  Purpose purpose;
};

// One of the keys that an envelope can be opened with.
struct KeyName {
  std::string provider;
  std::string key_id;
  auto operator<=>(const KeyName&) const = default;
};

// Envelope encryption. Each secret is sealed (AES-256-GCM) with a data key of its own, which key providers wrap; the tags
// cover format, algorithm, record, owner and the wrapped keys, so an envelope that was changed or moved does not open.
// Format 1, sealed with a key of the ring directly, is still opened. Any thread. Calls block for as long as a remote
// provider may take: with one, never on the event loop.
class Vault {
 public:
  // By the configuration. Errc::invalid: which setting or line is wrong; not_found: no key file (and how to make one).
  // A remote provider that does not answer is no error yet.
  [[nodiscard]] static Result<std::unique_ptr<Vault>> open(const VaultSettings& settings);
  [[nodiscard]] static Result<std::unique_ptr<Vault>> open(const std::string& key_file);

  struct Parts {
    std::vector<std::unique_ptr<KeyProvider>> providers;  // the first one is asked first; at least one
    std::shared_ptr<KeyRing> ring;                        // for format 1; nullptr: it is not opened
    Failover failover = Failover::strict;
    const Clock& clock = system_clock();
  };
  explicit Vault(Parts parts);
  ~Vault();

  // Writes a new key file (0600). Errc::conflict when there is one: a key is never replaced silently.
  [[nodiscard]] static Result<> create_key_file(const std::string& key_file);

  // Errc::unavailable, timeout: no provider that would have to wrapped the data key. strict: the first one has to;
  // fallback: whoever can.
  [[nodiscard]] Result<std::string> seal(const Secret& secret, const Purpose& purpose) const;
  // Errc::denied: changed, of another purpose, or of a key that is not there (named by its id); unavailable, timeout: the
  // provider does not answer.
  [[nodiscard]] Result<Secret> open_envelope(std::string_view envelope, const Purpose& purpose) const;
  // The same for many, in few calls to a remote provider. One result each, in their order.
  [[nodiscard]] std::vector<Result<Secret>> open_all(std::span<const Sealed> sealed) const;

  // Whether opening may take as long as a call over the network or to a device.
  [[nodiscard]] bool is_remote() const;

  // Which keys an envelope names; empty: it is none. Says nothing about whether it opens.
  [[nodiscard]] static std::vector<KeyName> keys_of(std::string_view envelope);
  // What keys_of() a secret would have that is sealed now, with all providers that are to wrap at work.
  [[nodiscard]] Result<std::vector<KeyName>> present_keys() const;
  [[nodiscard]] static bool is_present(std::string_view envelope, const std::vector<KeyName>& present);

  // In the order of the configuration.
  [[nodiscard]] std::vector<KeyProvider*> providers() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace patchbay::vault
