#include "engine/watch_table.hpp"

namespace patchbay::engine {

std::string watch_purpose(WatchId id) { return "watch/" + id.to_string(); }

std::shared_ptr<Watch> make_watch(WatchRecord record, plugin::Registry& registry) {
  auto watch = std::make_shared<Watch>(std::move(record));
  const auto* manifest = registry.manifest(watch->record.provider);
  const auto* trigger = manifest == nullptr ? nullptr : manifest->trigger(watch->record.trigger);
  if (trigger == nullptr) return watch;
  watch->provider = registry.provider(watch->record.provider);
  watch->manifest = manifest;
  watch->trigger = trigger;
  return watch;
}

Result<Secret> Watch::secret(const vault::Vault& vault) const {
  return vault.open_envelope(record.sealed_secret, watch_purpose(record.id));
}

Result<const plugin::Verifier*> Watch::verifier(const vault::Vault& vault) {
  if (!verifier_) {
    auto key = secret(vault);
    if (!key) return std::unexpected(key.error());
    auto made = plugin::Verifier::create(manifest->verification, *key);
    if (!made) return std::unexpected(made.error());
    verifier_.emplace(*std::move(made));
  }
  return &*verifier_;
}

Result<> Watch::enter(Task task) {
  if (busy_) {
    if (waiting_.size() >= kWaitingTasks) return fail(Errc::exhausted, "too many tasks wait for this watch");
    waiting_.push_back(std::move(task));
    return {};
  }
  busy_ = true;
  task();
  return {};
}

void Watch::leave() {
  busy_ = false;
  if (waiting_.empty()) return;
  auto next = std::move(waiting_.front());
  waiting_.pop_front();
  busy_ = true;
  next();
}

void WatchTable::insert(std::shared_ptr<Watch> watch) {
  by_token_[watch->record.token] = watch;
  by_id_[watch->record.id] = std::move(watch);
}

void WatchTable::erase(WatchId id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  by_token_.erase(found->second->record.token);
  by_id_.erase(found);
}

std::shared_ptr<Watch> WatchTable::by_token(std::string_view token) const {
  const auto found = by_token_.find(token);
  return found == by_token_.end() ? nullptr : found->second;
}

std::shared_ptr<Watch> WatchTable::find(WatchId id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

}  // namespace patchbay::engine
