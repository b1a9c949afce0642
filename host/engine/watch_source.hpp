#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/loop.hpp"
#include "engine/flow_store.hpp"
#include "engine/watch_table.hpp"
#include "plugin/registry.hpp"

namespace patchbay::engine {

// Brings watches into memory that another host has made or changed. On the loop's thread only; the reading is done in the
// background.
class WatchSource {
 public:
  using Found = std::move_only_function<void(Result<std::shared_ptr<Watch>>)>;

  WatchSource(Loop& loop, Executor& background, const vault::Vault& vault, FlowStore& store, WatchTable& watches,
              plugin::Registry& registry)
      : loop_(loop), background_(background), vault_(vault), store_(store), watches_(watches), registry_(registry) {}
  ~WatchSource() { *alive_ = false; }

  // The active watch with that token, which is not in the table; nullptr: there is none. Errc::exhausted: too many are
  // being looked for.
  void find(std::string_view token, Found found);
  // Takes over what was changed in the store; one that is not active any more leaves the table.
  void refresh(const std::shared_ptr<Watch>& watch, std::move_only_function<void(Result<>)> done);
  // Tries it again, for a watch whose secret did not open when it was read. One at a time: a key provider that is away
  // would keep the background busy.
  void open_secret(const std::shared_ptr<Watch>& watch);

  std::shared_ptr<Watch> insert(WatchRecord record);
  // Blocks; any thread but the loop's.
  [[nodiscard]] Result<std::optional<WatchRecord>> read(WatchId id) { return opened(store_.watch(id)); }

 private:
  static constexpr int kAtOnce = 100;  // strangers may ask for tokens that do not exist

  [[nodiscard]] Result<std::optional<WatchRecord>> opened(Result<std::optional<WatchRecord>> record) const;

  Loop& loop_;
  Executor& background_;
  const vault::Vault& vault_;
  FlowStore& store_;
  WatchTable& watches_;
  plugin::Registry& registry_;
  int under_way_ = 0;
  bool opens_secret_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace patchbay::engine
