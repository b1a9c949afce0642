#include "engine/watch_secrets.hpp"

#include "core/log.hpp"

namespace patchbay::engine {

void open_secrets(const vault::Vault& vault, std::span<WatchRecord> records) {
  std::vector<vault::Sealed> sealed;
  sealed.reserve(records.size());
  for (const auto& record : records) sealed.push_back({record.sealed_secret, vault::watch_purpose(record.id, record.user)});
  auto opened = vault.open_all(sealed);
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (!opened[i]) {
      log::error("engine", "the secret of watch {} cannot be read: {}", records[i].id.to_string(), opened[i].error().message);
      continue;
    }
    records[i].secret = *std::move(opened[i]);
    std::string().swap(records[i].sealed_secret);
  }
}

}  // namespace patchbay::engine
