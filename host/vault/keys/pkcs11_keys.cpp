#include "vault/keys/pkcs11_keys.hpp"

#include <algorithm>
#include <mutex>

#include <fmt/format.h>

#include "core/id.hpp"
#include "core/time.hpp"
#include "vault/keys/pkcs11_token.hpp"

namespace patchbay::vault {
namespace {

class Pkcs11Keys final : public KeyProvider {
 public:
  explicit Pkcs11Keys(Pkcs11Settings settings) : settings_(std::move(settings)) {}

  [[nodiscard]] std::string_view id() const override { return "pkcs11"; }
  [[nodiscard]] bool is_remote() const override { return true; }

  Result<WrappedKey> wrap(const Secret& data_key, std::string_view additional_data) override {
    return with_token<WrappedKey>([&](Pkcs11Token& token) -> Result<WrappedKey> {
      const auto keys = token.keys();
      if (!keys) return std::unexpected(keys.error());
      if (keys->empty()) return fail(Errc::unavailable, fmt::format("the PKCS#11 token has no AES key '{}': `patchbay keys rotate` makes one", settings_.key));
      auto wrapped = token.encrypt(keys->back(), additional_data, data_key.reveal());
      if (!wrapped) return std::unexpected(wrapped.error());
      return WrappedKey{to_hex(keys->back().id), *std::move(wrapped)};
    });
  }

  std::vector<Result<Secret>> unwrap(std::span<const UnwrapOrder> orders) override {
    std::vector<Result<Secret>> data_keys;
    data_keys.reserve(orders.size());
    for (const auto& order : orders) {
      data_keys.push_back(with_token<Secret>([&](Pkcs11Token& token) { return unwrap_one(token, order); }));
      if (data_keys.back() || data_keys.back().error().code == Errc::denied) continue;
      const auto gone = data_keys.back().error();  // one attempt at a token that is away is enough
      data_keys.resize(orders.size(), std::unexpected(gone));
    }
    return data_keys;
  }

  Result<std::vector<KeyInfo>> keys() override {
    return with_token<std::vector<KeyInfo>>([](Pkcs11Token& token) -> Result<std::vector<KeyInfo>> {
      const auto keys = token.keys();
      if (!keys) return std::unexpected(keys.error());
      std::vector<KeyInfo> infos;
      for (const auto& key : *keys) infos.push_back({to_hex(key.id), KeyState::readable});
      if (!infos.empty()) infos.back().state = KeyState::active;
      return infos;
    });
  }

  // Ids begin with the time, so the newest is the greatest.
  Result<std::string> rotate() override {
    const auto uuid = Uuid::make(system_clock().now());
    const std::string id(uuid.bytes().begin(), uuid.bytes().end());
    return with_token<std::string>([&](Pkcs11Token& token) -> Result<std::string> {
      if (auto made = token.generate(id); !made) return std::unexpected(made.error());
      return to_hex(id);
    });
  }

  Result<> drop(std::string_view key_id) override {
    const auto present = keys();
    if (!present) return std::unexpected(present.error());
    if (!present->empty() && present->back().id == key_id) return fail(Errc::conflict, fmt::format("key '{}' seals: `patchbay keys rotate` first", key_id));
    const auto id = from_hex(key_id);
    if (!id) return fail(Errc::not_found, fmt::format("there is no key '{}'", key_id));
    return with_token<void>([&](Pkcs11Token& token) { return token.destroy(*id); });
  }

 private:
  static Result<Secret> unwrap_one(Pkcs11Token& token, const UnwrapOrder& order) {
    const auto keys = token.keys();
    if (!keys) return std::unexpected(keys.error());
    const auto found = std::find_if(keys->begin(), keys->end(), [&](const auto& key) { return to_hex(key.id) == order.key_id; });
    if (found == keys->end()) return fail(Errc::denied, fmt::format("it was sealed with key '{}', which is not in the PKCS#11 token", order.key_id));
    return token.decrypt(*found, order.additional_data, order.bytes);
  }

  // A session that broke (the token was pulled, its service started anew) is made again, once.
  template <class T, class Work>
  Result<T> with_token(Work work) {
    const std::lock_guard lock(mutex_);
    const bool had_one = token_ != nullptr;
    if (had_one) {
      auto result = work(*token_);
      if (result || result.error().code != Errc::unavailable) return result;
      token_.reset();
    }
    auto opened = Pkcs11Token::open(settings_);
    if (!opened) return std::unexpected(opened.error());
    token_ = *std::move(opened);
    auto result = work(*token_);
    if (!result && result.error().code == Errc::unavailable) token_.reset();
    return result;
  }

  const Pkcs11Settings settings_;
  std::mutex mutex_;  // guards token_, whose session does one thing at a time
  std::unique_ptr<Pkcs11Token> token_;
};

}  // namespace

Result<std::unique_ptr<KeyProvider>> make_pkcs11_keys(const Pkcs11Settings& settings) {
  if (settings.module.empty() || settings.token.empty() || settings.key.empty() || settings.pin_file.empty()) {
    return fail(Errc::invalid, "key provider pkcs11 needs vault.pkcs11.module, token, key and pin_file");
  }
  return std::make_unique<Pkcs11Keys>(settings);
}

}  // namespace patchbay::vault
