#include "vault/vault.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "core/log.hpp"
#include "vault/aead.hpp"
#include "vault/envelope.hpp"
#include "vault/keys/key_ring.hpp"

namespace patchbay::vault {
namespace {

// With fallback a provider that did not answer is asked last for a while: each call would wait for its time limit.
constexpr std::chrono::seconds kRest{5};
// Below, a ciphertext may hold the plaintext by chance.
constexpr std::size_t kTellingLength = 16;

std::string wrap_data(std::string_view provider, const Purpose& purpose) {
  return fmt::format("patchbay/2|wrap|{}|{}", provider, purpose.name);
}

std::string seal_data(const Purpose& purpose, std::string_view head) {
  return fmt::format("patchbay/2|A256GCM|{}|", purpose.name) + std::string(head);
}

std::string format_1_data(std::string_view key_id, const Purpose& purpose) {
  return fmt::format("patchbay/1|A256GCM|{}|{}", key_id, purpose.before_owners);
}

bool is_outage(Errc code) { return code == Errc::unavailable || code == Errc::timeout; }

// Against an encryption that is none, whoever's fault that is.
bool shows(std::string_view sealed, const Secret& plain) {
  if (plain.reveal().size() < kTellingLength) return false;
  auto text = to_base64(plain.reveal());
  while (text.ends_with('=')) text.pop_back();
  const bool shown = sealed.find(plain.reveal()) != std::string_view::npos || sealed.find(text) != std::string_view::npos;
  wipe(text);
  return shown;
}

}  // namespace

struct Vault::Impl {
  struct Asked {
    std::unique_ptr<KeyProvider> provider;
    std::atomic<std::int64_t> rests_until = 0;  // microseconds; only with fallback

    explicit Asked(std::unique_ptr<KeyProvider> asked) : provider(std::move(asked)) {}
  };
  std::vector<std::unique_ptr<Asked>> providers;
  std::shared_ptr<KeyRing> ring;
  Failover failover;
  const Clock& clock;

  // In the order in which they are asked now.
  [[nodiscard]] std::vector<Asked*> order() const {
    std::vector<Asked*> asked;
    for (const auto& provider : providers) asked.push_back(provider.get());
    const auto now = micros(clock.now());
    if (failover == Failover::fallback) {
      std::stable_partition(asked.begin(), asked.end(), [now](const Asked* one) { return one->rests_until <= now; });
    }
    return asked;
  }
  void note(Asked& asked, const Error& error) const {
    if (failover != Failover::fallback || !is_outage(error.code)) return;
    const auto now = micros(clock.now());
    if (asked.rests_until.exchange(now + micros_of(kRest)) <= now) {
      log::warn("vault", "key provider {} does not answer, the others are asked: {}", asked.provider->id(), error.message);
    }
  }
  static std::int64_t micros_of(std::chrono::seconds time) {
    return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
  }

  struct Wrapped {
    std::string_view provider;
    WrappedKey key;
  };
  Result<std::vector<Wrapped>> wrap(const Secret& data_key, const Purpose& purpose) const;
  Result<Secret> open_format_1(const Envelope& envelope, const Purpose& purpose) const;

  // An envelope of format 2 on its way.
  struct Work {
    Envelope envelope;
    const Purpose* purpose = nullptr;
    Result<Secret>* result = nullptr;
    bool answered = false;  // by anybody; then result holds what the first one said
    bool done = false;
  };
  void ask(Asked& asked, std::vector<Work>& work) const;
  void take(Asked& asked, Work& work, Result<Secret> data_key) const;
};

Vault::Vault(Parts parts) : impl_(new Impl{{}, std::move(parts.ring), parts.failover, parts.clock}) {
  for (auto& provider : parts.providers) impl_->providers.push_back(std::make_unique<Impl::Asked>(std::move(provider)));
}
Vault::~Vault() = default;

Result<> Vault::create_key_file(const std::string& key_file) { return KeyRing::create({key_file}); }

bool Vault::is_remote() const {
  return std::any_of(impl_->providers.begin(), impl_->providers.end(), [](const auto& one) { return one->provider->is_remote(); });
}

std::vector<KeyProvider*> Vault::providers() const {
  std::vector<KeyProvider*> all;
  for (const auto& one : impl_->providers) all.push_back(one->provider.get());
  return all;
}

Result<std::vector<Vault::Impl::Wrapped>> Vault::Impl::wrap(const Secret& data_key, const Purpose& purpose) const {
  std::vector<Wrapped> wrapped;
  std::optional<Error> first_error;
  const auto now = micros(clock.now());
  for (auto* asked : order()) {
    if (!wrapped.empty() && (failover == Failover::strict || asked->rests_until > now)) break;
    auto& provider = *asked->provider;
    auto key = provider.wrap(data_key, wrap_data(provider.id(), purpose));
    if (key && shows(key->bytes, data_key)) {
      key = fail(Errc::internal, fmt::format("key provider {} gave the data key back as it was", provider.id()));
    }
    if (key) {
      wrapped.push_back({provider.id(), *std::move(key)});
      continue;
    }
    note(*asked, key.error());
    if (!first_error) first_error = key.error();
    if (failover == Failover::strict || key.error().code == Errc::internal) break;
  }
  if (wrapped.empty()) return std::unexpected(*first_error);
  return wrapped;
}

Result<std::string> Vault::seal(const Secret& secret, const Purpose& purpose) const {
  const auto data_key = Secret::random(kKeyBytes);
  const auto wrapped = impl_->wrap(data_key, purpose);
  if (!wrapped) return std::unexpected(wrapped.error());
  std::vector<Recipient> recipients;
  for (const auto& [provider, key] : *wrapped) {
    if (key.key_id.size() > 255 || key.bytes.size() > 0xFFFF) {
      return fail(Errc::internal, fmt::format("key provider {} makes envelopes that are too large", provider));
    }
    recipients.push_back({provider, key.key_id, key.bytes});
  }
  const auto head = write_head(recipients);
  const auto sealed = encrypt(data_key, seal_data(purpose, head), secret.reveal());
  if (shows(sealed, secret)) return fail(Errc::internal, "the secret was not encrypted, and is not kept");
  return head + sealed;
}

Result<Secret> Vault::open_envelope(std::string_view envelope, const Purpose& purpose) const {
  const Sealed one{envelope, purpose};
  return std::move(open_all({&one, 1}).front());
}

std::vector<Result<Secret>> Vault::open_all(std::span<const Sealed> sealed) const {
  std::vector<Result<Secret>> results(sealed.size(), fail(Errc::denied, "not an envelope of this vault"));
  std::vector<Impl::Work> work;
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    auto envelope = read_envelope(sealed[i].envelope);
    if (!envelope) continue;
    if (envelope->format == 1) results[i] = impl_->open_format_1(*envelope, sealed[i].purpose);
    else work.push_back({*std::move(envelope), &sealed[i].purpose, &results[i]});
  }
  if (work.empty()) return results;
  for (auto* asked : impl_->order()) impl_->ask(*asked, work);
  for (auto& one : work) {
    if (!one.answered) {
      *one.result = fail(Errc::denied, fmt::format("it was sealed with key provider '{}', which vault.providers does not name",
                                                   one.envelope.recipients.front().provider));
    }
  }
  return results;
}

// All that is not open yet and has a key for this provider, in one call.
void Vault::Impl::ask(Asked& asked, std::vector<Work>& work) const {
  std::vector<UnwrapOrder> orders;
  std::vector<Work*> of_orders;
  const auto id = asked.provider->id();
  for (auto& one : work) {
    if (one.done || (one.answered && failover == Failover::strict)) continue;
    const auto& recipients = one.envelope.recipients;
    const auto mine = std::find_if(recipients.begin(), recipients.end(), [id](const auto& recipient) { return recipient.provider == id; });
    if (mine == recipients.end()) continue;
    orders.push_back({mine->key_id, mine->wrapped, wrap_data(id, *one.purpose)});
    of_orders.push_back(&one);
  }
  if (orders.empty()) return;
  auto data_keys = asked.provider->unwrap(orders);
  for (std::size_t i = 0; i < of_orders.size(); ++i) take(asked, *of_orders[i], std::move(data_keys[i]));
}

void Vault::Impl::take(Asked& asked, Work& work, Result<Secret> data_key) const {
  if (!data_key) {
    note(asked, data_key.error());
    if (!work.answered) *work.result = std::unexpected(data_key.error());
    work.answered = true;
    return;
  }
  work.answered = true;
  work.done = true;  // whoever unwraps it, the data key is the same
  *work.result = decrypt(*data_key, seal_data(*work.purpose, work.envelope.head), work.envelope.sealed);
}

Result<Secret> Vault::Impl::open_format_1(const Envelope& envelope, const Purpose& purpose) const {
  if (!ring) return fail(Errc::denied, "it is of format 1, which needs the key file: add local to vault.providers");
  const auto id = envelope.recipients.front().key_id;
  const auto key = ring->find(id);
  if (!key) return std::unexpected(key.error());
  return decrypt(key->bytes, format_1_data(id, purpose), envelope.sealed);
}

std::vector<KeyName> Vault::keys_of(std::string_view envelope) {
  std::vector<KeyName> names;
  const auto read = read_envelope(envelope);
  if (!read) return names;
  for (const auto& recipient : read->recipients) names.push_back({std::string(recipient.provider), std::string(recipient.key_id)});
  return names;
}

Result<std::vector<KeyName>> Vault::present_keys() const {
  std::vector<KeyName> names;
  for (const auto& asked : impl_->providers) {
    const auto keys = asked->provider->keys();
    if (!keys) return std::unexpected(keys.error());
    for (const auto& key : *keys) {
      if (key.state == KeyState::active) names.push_back({std::string(asked->provider->id()), key.id});
    }
    if (impl_->failover == Failover::strict) break;
  }
  return names;
}

bool Vault::is_present(std::string_view envelope, const std::vector<KeyName>& present) {
  auto names = keys_of(envelope);
  auto wanted = present;
  std::sort(names.begin(), names.end());
  std::sort(wanted.begin(), wanted.end());
  return !envelope.starts_with('\1') && names == wanted;
}

}  // namespace patchbay::vault
