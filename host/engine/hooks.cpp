#include "engine/hooks.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/log.hpp"

namespace patchbay::engine {
namespace {

// Product.md: 8 tries, 1 s doubling to 30 s, lease 30 s.
constexpr int kAttempts = 8;
constexpr std::chrono::seconds kLease{30};
constexpr int kClaim = 100;
constexpr int kTimesAgain = 5;

std::chrono::seconds retry_delay(int attempt) {
  return std::chrono::seconds{std::min(1 << std::min(attempt - 1, 5), 30)};
}

// What proves the sender is checked once and not kept.
bool is_credential(std::string_view name, const plugin::VerificationScheme& scheme) {
  constexpr std::array<std::string_view, 4> kNames{"authorization", "cookie", "proxy-authorization", "x-hub-signature"};
  return name == scheme.header || std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

std::string headers_json(const plugin::WebhookRequest& request, const plugin::VerificationScheme& scheme) {
  std::string json = "{";
  for (const auto& [name, value] : request.headers) {
    if (is_credential(name, scheme)) continue;
    if (json.size() > 1) json += ',';
    append_json_quoted(json, name);
    json += ':';
    append_json_quoted(json, value);
  }
  json += '}';
  return json;
}

HookAnswer problem(int status, std::string_view title, std::string_view detail) {
  return {status, "application/problem+json",
          fmt::format(R"({{"type":"about:blank","title":{},"status":{},"detail":{}}})", json_quote(title), status,
                      json_quote(detail)),
          0};
}

HookAnswer busy(std::string_view detail) {
  auto answer = problem(503, "Service Unavailable", detail);
  answer.retry_after_s = 1;
  return answer;
}

HookAnswer nobody_listens() { return problem(404, "Not Found", "no flow listens here"); }

}  // namespace

// One delivery on its way from the request to its commit.
struct Hooks::Conversation {
  std::shared_ptr<Watch> watch;
  std::shared_ptr<const plugin::WebhookRequest> request;
  std::shared_ptr<const JsonDocument> body;
  journal::DeliveryRecord record;
  bool stored = false;  // the raw request is in the journal: answered 202
  Respond respond;      // empty once it has answered
  std::uint64_t patience = 0;
  bool ended = false;
  std::int64_t revision = 0;  // of the watch, that its task works from
  int again = 0;              // times that the watch was changed meanwhile

  void answer(HookAnswer answer) {
    if (respond) std::exchange(respond, nullptr)(std::move(answer));
  }
};

Hooks::Hooks(Loop& loop, Executor& background, const Clock& clock, store::Database& database, const vault::Vault& vault,
             WatchTable& watches, WatchSource& source, Intake& intake)
    : loop_(loop),
      background_(background),
      clock_(clock),
      database_(database),
      vault_(vault),
      watches_(watches),
      source_(source),
      intake_(intake),
      accepted_(metrics::counter("patchbay_deliveries_total", "Webhook deliveries", {{"result", "accepted"}})),
      unknown_(metrics::counter("patchbay_deliveries_total", "Webhook deliveries", {{"result", "unknown"}})),
      refused_(metrics::counter("patchbay_deliveries_total", "Webhook deliveries", {{"result", "refused"}})),
      overloaded_(metrics::counter("patchbay_deliveries_total", "Webhook deliveries", {{"result", "overloaded"}})) {}

Hooks::~Hooks() { *alive_ = false; }

std::string Hooks::callback_url(const Watch& watch) const { return callback_base_ + "/hooks/" + watch.record.token; }

void Hooks::deliver(std::string_view token, std::shared_ptr<const plugin::WebhookRequest> request, Respond respond) {
  if (auto watch = watches_.by_token(token)) return receive(watch, std::move(request), std::move(respond));
  const auto unknown = [this](Respond& refuse) {
    unknown_.increment();
    refuse(nobody_listens());
  };
  if (!database_.is_shared()) return unknown(respond);
  // Another host may have begun it.
  source_.find(token, [this, alive = alive_, request = std::move(request), respond = std::move(respond), unknown](auto found) mutable {
    if (!*alive) return;
    if (found && *found) return receive(*found, std::move(request), std::move(respond));
    if (found) return unknown(respond);
    overloaded_.increment();
    respond(busy(found.error().message));
  });
}

void Hooks::receive(const std::shared_ptr<Watch>& watch, std::shared_ptr<const plugin::WebhookRequest> request, Respond respond) {
  if (watch->provider == nullptr) {
    auto missing = problem(503, "Service Unavailable", "the plugin for " + watch->record.provider + " is not loaded");
    missing.retry_after_s = 30;
    return respond(std::move(missing));
  }
  const auto now = clock_.now();
  const auto verifier = watch->verifier(vault_);
  if (!verifier && may_pass(verifier.error().code)) {
    source_.open_secret(watch);
    overloaded_.increment();
    return respond(busy(verifier.error().message));
  }
  if (!verifier) {
    log::error("engine", "watch {}: {}", watch->record.id.to_string(), verifier.error().message);
    return respond(problem(500, "Internal Server Error", "the watch's secret cannot be read"));
  }
  if (const auto verified = (*verifier)->verify(*request, now); !verified) {
    refused_.increment();
    return respond(problem(401, "Unauthorized", verified.error().message));
  }

  auto conversation = std::make_shared<Conversation>();
  conversation->respond = std::move(respond);
  if (auto parsed = JsonDocument::parse(request->body)) conversation->body = *std::move(parsed);
  auto& record = conversation->record;
  record.id = DeliveryId::make(now);
  record.watch = watch->record.id;
  record.flow = watch->record.flow;
  record.user = watch->record.user;
  record.received = now;
  record.method = request->method;
  record.query = request->query;
  record.headers_json = headers_json(*request, watch->manifest->verification);
  record.owner = request;
  record.body = request->body;
  conversation->request = std::move(request);
  conversation->watch = watch;
  queue(conversation, Watch::Turn::beside_others);
}

void Hooks::queue(const std::shared_ptr<Conversation>& conversation, Watch::Turn turn) {
  const auto entered = conversation->watch->enter(turn, [this, alive = alive_, conversation] {
    if (*alive) run(conversation);
  });
  // What is in the journal is claimed again when its lease ends.
  if (entered || conversation->stored) return;
  overloaded_.increment();
  conversation->answer(busy(entered.error().message));
}

void Hooks::run(const std::shared_ptr<Conversation>& conversation) {
  auto& watch = *conversation->watch;
  plugin::Call call;
  call.verb = plugin::Verb::webhook;
  call.name = watch.record.trigger;
  call.params = watch.record.params;
  call.key = conversation->record.id.to_string();
  conversation->revision = watch.record.revision;
  call.state = watch.record.state;
  call.state_version = watch.record.state_version;
  call.attempt = conversation->record.attempt;
  call.watch = watch.record.id;
  call.connection = watch.record.connection;
  call.callback_url = callback_url(watch);
  // Who checks the request by itself needs what it was signed with.
  if (watch.manifest->verification.kind == plugin::VerificationScheme::Kind::custom) {
    if (auto secret = watch.secret(vault_)) call.callback_secret = *std::move(secret);
    else log::error("engine", "watch {}: {}", watch.record.id.to_string(), secret.error().message);
  }
  call.request = conversation->request;
  call.body = conversation->body;
  call.deadline = clock_.now() + kLease;
  watch.provider->begin(std::move(call), [this, alive = alive_, conversation](plugin::Outcome outcome) {
    if (!*alive) return;
    conversation->ended = true;
    if (conversation->patience != 0) loop_.cancel(conversation->patience);
    ended(conversation, std::move(outcome));
  });
  if (conversation->ended || conversation->stored) return;
  const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(watch.manifest->patience);
  conversation->patience = loop_.after(patience, [this, alive = alive_, conversation] {
    if (*alive && !conversation->ended) out_of_patience(conversation);
  });
}

// The sender would give up soon: keep the request raw, say 202, and finish from the journal.
void Hooks::out_of_patience(const std::shared_ptr<Conversation>& conversation) {
  auto record = conversation->record;
  record.status = journal::DeliveryStatus::processing;
  record.next = clock_.now() + kLease;  // if this process dies, it is claimed again then
  Intake::Batch batch;
  batch.watch = conversation->watch;
  batch.delivery = std::move(record);
  conversation->stored = true;
  commit(conversation, std::move(batch), HookAnswer{202, {}, {}, 0});
}

void Hooks::ended(const std::shared_ptr<Conversation>& conversation, plugin::Outcome outcome) {
  auto& watch = *conversation->watch;
  if (outcome.error) {
    watch.leave();
    return failed(conversation, outcome);
  }
  if (outcome.state && !watch.claim_state()) {  // others have not seen it, nor it what they may bring
    conversation->ended = false;
    queue(conversation, Watch::Turn::alone);
    return watch.leave();
  }
  auto record = conversation->record;
  record.status = journal::DeliveryStatus::processed;
  record.http_status = outcome.http_status == 0 ? 204 : outcome.http_status;
  record.next.reset();
  record.error.clear();
  HookAnswer answer{record.http_status, std::move(outcome.content_type), std::move(outcome.output), 0};

  Intake::Batch batch;
  batch.watch = conversation->watch;
  batch.revision = conversation->revision;
  batch.events = std::move(outcome.events);
  batch.state = std::move(outcome.state);
  batch.state_version = outcome.state_version;
  batch.body = conversation->body;
  (conversation->stored ? batch.finished_delivery : batch.delivery) = std::move(record);
  if (!batch.state) {
    watch.leave();  // nothing that the next task has to see
    return commit(conversation, std::move(batch), std::move(answer));
  }
  commit(conversation, std::move(batch), std::move(answer));
}

void Hooks::failed(const std::shared_ptr<Conversation>& conversation, const plugin::Outcome& outcome) {
  const auto& error = *outcome.error;
  if (error.code == Errc::unauthenticated && !conversation->stored) {  // a custom scheme said no
    refused_.increment();
    return conversation->answer(problem(401, "Unauthorized", error.message));
  }
  auto record = conversation->record;
  record.error = error.message;
  HookAnswer answer{202, {}, {}, 0};
  if (may_pass(error.code) && record.attempt < kAttempts) {
    record.status = journal::DeliveryStatus::retry_ready;
    record.next = clock_.now() + (outcome.next ? *outcome.next : Duration{retry_delay(record.attempt)});
  } else {
    record.status = journal::DeliveryStatus::dead;
    record.next.reset();
    record.http_status = may_pass(error.code) ? 202 : 422;
    if (!may_pass(error.code)) answer = problem(422, "Unprocessable Content", error.message);
  }
  log::warn("engine", "delivery {} attempt {} failed: {}", record.id.to_string(), record.attempt, error.message);
  Intake::Batch batch;
  batch.watch = conversation->watch;
  (conversation->stored ? batch.finished_delivery : batch.delivery) = std::move(record);
  commit(conversation, std::move(batch), std::move(answer));
}

void Hooks::commit(const std::shared_ptr<Conversation>& conversation, Intake::Batch batch, HookAnswer answer) {
  const bool leaves = batch.state.has_value();
  auto committed = [this, alive = alive_, conversation, leaves, answer = std::move(answer)](Result<> done) mutable {
    if (!*alive) return;
    if (leaves) conversation->watch->leave();
    if (done) {
      accepted_.increment();
      return conversation->answer(std::move(answer));
    }
    if (done.error().code == Errc::conflict && conversation->again++ < kTimesAgain) return begin_again(conversation);
    not_kept(conversation, done.error().code);
  };
  intake_.commit(std::move(batch), std::move(committed));
}

// Another host has changed the watch: what the plugin said was worked out from an older state or for an older flow.
void Hooks::begin_again(const std::shared_ptr<Conversation>& conversation) {
  source_.refresh(conversation->watch, [this, alive = alive_, conversation](Result<> done) {
    if (!*alive) return;
    if (done) {
      conversation->ended = false;
      return queue(conversation, Watch::Turn::beside_others);
    }
    not_kept(conversation, done.error().code);
  });
}

void Hooks::not_kept(const std::shared_ptr<Conversation>& conversation, Errc code) {
  if (code != Errc::not_found) {
    overloaded_.increment();
    return conversation->answer(busy("the journal cannot take more now"));
  }
  // Stopped in the meantime, perhaps by another host.
  const auto& watch = conversation->watch;
  if (watches_.find(watch->record.id) == watch) watches_.erase(watch->record.id);
  unknown_.increment();
  conversation->answer(nobody_listens());
}

void Hooks::retry_open_deliveries() {
  if (std::exchange(claiming_, true)) return;
  background_.post([this, alive = alive_, now = clock_.now()] {
    auto claimed = journal::claim_open_deliveries(database_, now, kLease, kClaim);
    loop_.post([this, alive, claimed = std::move(claimed)]() mutable {
      if (!*alive) return;
      claiming_ = false;
      if (!claimed) return log::error("engine", "open deliveries could not be read: {}", claimed.error().message);
      for (auto& open : *claimed) retry(std::move(open));
    });
  });
}

void Hooks::retry(journal::OpenDelivery open) {
  auto watch = watches_.find(open.record.watch);
  if (!watch) return find_watch_of(std::move(open));
  if (watch->provider == nullptr) return;  // its lease ends, and it is claimed again
  if (const auto secret = watch->secret(vault_); !secret && may_pass(secret.error().code)) return source_.open_secret(watch);  // likewise
  auto request = std::make_shared<plugin::WebhookRequest>();
  request->method = open.record.method;
  request->query = open.record.query;
  if (auto headers = JsonDocument::parse(open.record.headers_json)) {
    (*headers)->root().for_each_member([&](std::string_view name, JsonView value) {
      request->headers.emplace_back(std::string(name), std::string(value.string()));
    });
  }
  request->body = open.record.body;
  auto conversation = std::make_shared<Conversation>();
  conversation->watch = watch;
  conversation->stored = true;
  conversation->record = std::move(open.record);
  conversation->record.owner = request;
  conversation->record.body = request->body;
  if (auto parsed = JsonDocument::parse(request->body)) conversation->body = *std::move(parsed);
  conversation->request = std::move(request);
  queue(conversation, Watch::Turn::beside_others);
}

// It may be one that another host has begun.
void Hooks::find_watch_of(journal::OpenDelivery open) {
  background_.post([this, alive = alive_, open = std::move(open)]() mutable {
    auto record = source_.read(open.record.watch);
    loop_.post([this, alive, record = std::move(record), open = std::move(open)]() mutable {
      if (!*alive || !record) return;  // its lease ends, and it is claimed again
      if (!*record || (*record)->status != "active") return close_lost_delivery(open.record);
      if (!watches_.find(open.record.watch)) source_.insert(**std::move(record));
      retry(std::move(open));
    });
  });
}

// Its flow was switched off before the delivery was worked on.
void Hooks::close_lost_delivery(const journal::DeliveryRecord& record) {
  background_.post([this, alive = alive_, id = record.id.to_string()] {
    auto closed = database_.write([&](store::Transaction& transaction) -> Result<> {
      auto changed = transaction.execute(
          "UPDATE deliveries SET status = 'dead', next_at = NULL, error = 'the flow was stopped' WHERE id = $1",
          {std::string_view(id)});
      if (!changed) return std::unexpected(changed.error());
      return {};
    });
    if (!closed) log::error("engine", "delivery {} could not be closed: {}", id, closed.error().message);
  });
}

}  // namespace patchbay::engine
