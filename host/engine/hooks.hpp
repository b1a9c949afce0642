#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/loop.hpp"
#include "core/metrics.hpp"
#include "engine/intake.hpp"
#include "engine/watch_source.hpp"
#include "engine/watch_table.hpp"
#include "journal/journal.hpp"
#include "store/database.hpp"
#include "vault/vault.hpp"

namespace patchbay::engine {

struct HookAnswer {
  int status = 204;
  std::string content_type;
  std::string body;
  int retry_after_s = 0;
};

// Inbound webhooks: verify on the raw bytes, ask the plugin, commit, answer. A request that is not proven leaves a
// counter and nothing else. On the loop's thread only.
class Hooks {
 public:
  using Respond = std::move_only_function<void(HookAnswer)>;

  Hooks(Loop& loop, Executor& background, const Clock& clock, store::Database& database, const vault::Vault& vault,
        WatchTable& watches, WatchSource& source, Intake& intake);
  ~Hooks();

  // respond is called once, after the commit or the refusal.
  void deliver(std::string_view token, std::shared_ptr<const plugin::WebhookRequest> request, Respond respond);

  // Goes on with deliveries that were answered 202 and are not processed. A timer calls it, and the start.
  void retry_open_deliveries();

  // Callback URLs begin with it. Before the first watch begins.
  void set_callback_base(std::string base) { callback_base_ = std::move(base); }
  [[nodiscard]] std::string callback_url(const Watch& watch) const;

 private:
  struct Conversation;
  void receive(const std::shared_ptr<Watch>& watch, std::shared_ptr<const plugin::WebhookRequest> request, Respond respond);
  void not_kept(const std::shared_ptr<Conversation>& conversation, Errc code);
  void begin_again(const std::shared_ptr<Conversation>& conversation);
  void queue(const std::shared_ptr<Conversation>& conversation, Watch::Turn turn);
  void run(const std::shared_ptr<Conversation>& conversation);
  void out_of_patience(const std::shared_ptr<Conversation>& conversation);
  void ended(const std::shared_ptr<Conversation>& conversation, plugin::Outcome outcome);
  void failed(const std::shared_ptr<Conversation>& conversation, const plugin::Outcome& outcome);
  void commit(const std::shared_ptr<Conversation>& conversation, Intake::Batch batch, HookAnswer answer);
  void retry(journal::OpenDelivery open);
  void find_watch_of(journal::OpenDelivery open);
  void close_lost_delivery(const journal::DeliveryRecord& record);

  Loop& loop_;
  Executor& background_;
  const Clock& clock_;
  store::Database& database_;
  const vault::Vault& vault_;
  WatchTable& watches_;
  WatchSource& source_;
  Intake& intake_;
  std::string callback_base_;
  bool claiming_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  metrics::Counter accepted_;
  metrics::Counter unknown_;
  metrics::Counter refused_;
  metrics::Counter overloaded_;
};

}  // namespace patchbay::engine
