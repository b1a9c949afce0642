#include "engine/watch_table.hpp"

namespace patchbay::engine {

std::string watch_purpose(WatchId id) { return "watch/" + id.to_string(); }

void Watch::adopt(plugin::Registry& registry) {
  verifier_.reset();
  manifest = registry.manifest(record.provider);
  trigger = manifest ? manifest->trigger(record.trigger) : nullptr;
  provider = trigger == nullptr ? nullptr : registry.provider(record.provider);
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

std::vector<std::shared_ptr<Watch>> WatchTable::of_provider(std::string_view provider) const {
  std::vector<std::shared_ptr<Watch>> found;
  for (const auto& [id, watch] : by_id_) {
    if (watch->record.provider == provider) found.push_back(watch);
  }
  return found;
}

}  // namespace patchbay::engine
