#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/executor.hpp"
#include "core/id.hpp"
#include "engine/flow_store.hpp"
#include "plugin/registry.hpp"
#include "plugin/verification.hpp"
#include "vault/vault.hpp"

namespace patchbay::engine {

// A live watch. Tasks of one watch run one after another, so that each sees the state that the last one left. Webhooks
// seldom change it: they run side by side until one does.
class Watch {
 public:
  explicit Watch(WatchRecord record);

  // Looks its provider up, when it begins and after each reload. Its state and its turn stay as they are.
  void adopt(plugin::Registry& registry);

  WatchRecord record;                                // as stored; state changes with each commit
  plugin::Provider* provider = nullptr;              // nullptr: its plugin is not loaded
  std::shared_ptr<const plugin::Manifest> manifest;  // likewise
  const plugin::Operation* trigger = nullptr;        // likewise; of manifest
  int failures = 0;                                  // polls or renewals in a row

  // Made at the first request: a watch that sleeps costs its row only.
  [[nodiscard]] Result<const plugin::Verifier*> verifier(const vault::Vault& vault);
  // Errc::unavailable: a key provider over the network did not open it yet (WatchSource::open_secret).
  [[nodiscard]] Result<Secret> secret(const vault::Vault& vault) const;

  enum class Turn { alone, beside_others };
  static constexpr std::size_t kWaitingTasks = 1000;
  static constexpr int kTasksAtOnce = 64;
  // Runs task now (before enter() returns), or when those before it have left. Errc::exhausted: too many wait.
  Result<> enter(Turn turn, Task task);
  void leave();
  // For a task that has entered beside others and now brings a state: whether it is alone, and will be until it leaves.
  // Otherwise its result is to be dropped and it enters again, alone. From now on nobody runs beside others here.
  [[nodiscard]] bool claim_state();

 private:
  [[nodiscard]] bool may_start(Turn turn) const;
  void start_waiting();

  int running_ = 0;
  bool alone_ = false;         // the one that runs wants nobody beside it
  bool brings_state_ = false;  // a webhook has done so
  bool starting_ = false;
  std::deque<std::pair<Turn, Task>> waiting_;
  std::optional<plugin::Verifier> verifier_;
};

// The live watches of the process, by id and by the token of their callback URL. On the loop's thread only. A watch
// that is erased lives on for as long as a task holds it.
class WatchTable {
 public:
  void insert(std::shared_ptr<Watch> watch);
  void erase(WatchId id);
  void clear();
  [[nodiscard]] std::shared_ptr<Watch> by_token(std::string_view token) const;
  [[nodiscard]] std::shared_ptr<Watch> find(WatchId id) const;
  [[nodiscard]] std::vector<std::shared_ptr<Watch>> of_provider(std::string_view provider) const;
  [[nodiscard]] std::vector<std::shared_ptr<Watch>> of_connection(ConnectionId connection) const;
  [[nodiscard]] std::size_t size() const { return by_id_.size(); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<WatchId, std::shared_ptr<Watch>> by_id_;
  std::unordered_map<std::string, std::shared_ptr<Watch>, Hash, std::equal_to<>> by_token_;
};

}  // namespace patchbay::engine
