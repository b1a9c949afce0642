// Which key providers the configuration names: the only file that knows all of them.
#include <cstdlib>

#include <fmt/format.h>

#include "vault/keys/local_keys.hpp"
#include "vault/keys/pkcs11_keys.hpp"
#include "vault/keys/transit_keys.hpp"
#include "vault/vault.hpp"

namespace patchbay::vault {
namespace {

Result<KeyFile> key_file_of(const VaultSettings& settings) {
  if (settings.credential.empty()) return KeyFile{settings.key_file};
  const char* folder = std::getenv("CREDENTIALS_DIRECTORY");  // systemd.exec(5), Credentials
  if (folder == nullptr || settings.credential.find('/') != std::string::npos) {
    return fail(Errc::invalid, fmt::format("vault.credential is '{}', and the service manager gave no credentials: "
                                           "LoadCredential={}:… is missing in the unit",
                                           settings.credential, settings.credential));
  }
  return KeyFile{std::string(folder) + '/' + settings.credential, KeyFile::Access::given};
}

Result<> add(const std::string& name, const VaultSettings& settings, Vault::Parts& parts) {
  for (const auto& known : parts.providers) {
    if (known->id() == name) return fail(Errc::invalid, "vault.providers names " + name + " twice");
  }
  if (name == "local") {
    auto file = key_file_of(settings);
    if (!file) return std::unexpected(file.error());
    auto ring = KeyRing::open(*std::move(file));
    if (!ring) return std::unexpected(ring.error());
    parts.ring = *ring;
    parts.providers.push_back(make_local_keys(*std::move(ring)));
    return {};
  }
  if (name != "transit" && name != "pkcs11") {
    return fail(Errc::invalid, fmt::format("vault.providers holds '{}': there are local, transit and pkcs11", name));
  }
  auto made = name == "transit" ? make_transit_keys(settings.transit) : make_pkcs11_keys(settings.pkcs11);
  if (!made) return std::unexpected(made.error());
  parts.providers.push_back(*std::move(made));
  return {};
}

}  // namespace

Result<std::unique_ptr<Vault>> Vault::open(const VaultSettings& settings) {
  if (settings.providers.empty()) return fail(Errc::invalid, "vault.providers is empty: local seals with the key file");
  Parts parts{.providers = {}, .ring = nullptr, .failover = settings.failover};
  for (const auto& name : settings.providers) {
    if (auto added = add(name, settings, parts); !added) return std::unexpected(added.error());
  }
  return std::make_unique<Vault>(std::move(parts));
}

Result<std::unique_ptr<Vault>> Vault::open(const std::string& key_file) {
  VaultSettings settings;
  settings.key_file = key_file;
  return open(settings);
}

}  // namespace patchbay::vault
