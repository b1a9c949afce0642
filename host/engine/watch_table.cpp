#include "engine/watch_table.hpp"

namespace patchbay::engine {

Watch::Watch(WatchRecord of) : record(std::move(of)) {
  if (!record.secret.empty()) std::string().swap(record.sealed_secret);
}

void Watch::adopt(plugin::Registry& registry) {
  verifier_.reset();
  manifest = registry.manifest(record.provider);
  trigger = manifest ? manifest->trigger(record.trigger) : nullptr;
  provider = trigger == nullptr ? nullptr : registry.provider(record.provider);
}

Result<Secret> Watch::secret(const vault::Vault& vault) const {
  if (!record.secret.empty()) return record.secret;
  if (vault.is_remote()) return fail(Errc::unavailable, "the watch's secret is not open yet");
  return vault.open_envelope(record.sealed_secret, vault::watch_purpose(record.id, record.user));
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

Result<> Watch::enter(Turn turn, Task task) {
  if (waiting_.size() >= kWaitingTasks) return fail(Errc::exhausted, "too many tasks wait for this watch");
  waiting_.emplace_back(turn, std::move(task));
  start_waiting();
  return {};
}

void Watch::leave() {
  --running_;
  if (running_ == 0) alone_ = false;
  start_waiting();
}

bool Watch::claim_state() {
  brings_state_ = true;
  if (running_ == 1) alone_ = true;
  return alone_;
}

bool Watch::may_start(Turn turn) const {
  if (turn == Turn::alone || brings_state_) return running_ == 0;
  return !alone_ && running_ < kTasksAtOnce;
}

// In a loop, not by recursion: a task may leave before it returns.
void Watch::start_waiting() {
  if (std::exchange(starting_, true)) return;
  while (!waiting_.empty() && may_start(waiting_.front().first)) {
    auto [turn, task] = std::move(waiting_.front());
    waiting_.pop_front();
    ++running_;
    alone_ = turn == Turn::alone || brings_state_;
    task();
  }
  starting_ = false;
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

void WatchTable::clear() {
  by_token_.clear();
  by_id_.clear();
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

std::vector<std::shared_ptr<Watch>> WatchTable::of_connection(ConnectionId connection) const {
  std::vector<std::shared_ptr<Watch>> found;
  for (const auto& [id, watch] : by_id_) {
    if (watch->record.connection == connection) found.push_back(watch);
  }
  return found;
}

}  // namespace patchbay::engine
