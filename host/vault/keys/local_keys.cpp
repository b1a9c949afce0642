#include "vault/keys/local_keys.hpp"

#include "vault/aead.hpp"

namespace patchbay::vault {
namespace {

class LocalKeys final : public KeyProvider {
 public:
  explicit LocalKeys(std::shared_ptr<KeyRing> ring) : ring_(std::move(ring)) {}

  [[nodiscard]] std::string_view id() const override { return "local"; }
  [[nodiscard]] bool is_remote() const override { return false; }

  Result<WrappedKey> wrap(const Secret& data_key, std::string_view additional_data) override {
    const auto key = ring_->active();
    if (!key) return std::unexpected(key.error());
    return WrappedKey{key->id, encrypt(key->bytes, with_id(key->id, additional_data), data_key.reveal())};
  }

  std::vector<Result<Secret>> unwrap(std::span<const UnwrapOrder> orders) override {
    std::vector<Result<Secret>> data_keys;
    data_keys.reserve(orders.size());
    for (const auto& order : orders) data_keys.push_back(unwrap_one(order));
    return data_keys;
  }

  Result<std::vector<KeyInfo>> keys() override { return ring_->keys(); }
  Result<std::string> rotate() override { return ring_->rotate(); }
  Result<> drop(std::string_view key_id) override { return ring_->drop(key_id); }

 private:
  static std::string with_id(std::string_view key_id, std::string_view additional_data) {
    return std::string(key_id) + '|' + std::string(additional_data);
  }
  Result<Secret> unwrap_one(const UnwrapOrder& order) {
    const auto key = ring_->find(order.key_id);
    if (!key) return std::unexpected(key.error());
    return decrypt(key->bytes, with_id(order.key_id, order.additional_data), order.bytes);
  }

  const std::shared_ptr<KeyRing> ring_;
};

}  // namespace

std::unique_ptr<KeyProvider> make_local_keys(std::shared_ptr<KeyRing> ring) {
  return std::make_unique<LocalKeys>(std::move(ring));
}

}  // namespace patchbay::vault
