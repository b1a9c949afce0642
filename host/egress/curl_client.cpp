#include "egress/curl_client.hpp"

#include <deque>
#include <random>
#include <unordered_map>

#include "core/log.hpp"
#include "egress/curl/admission.hpp"
#include "egress/curl/exchange.hpp"
#include "egress/curl/multi.hpp"
#include "egress/repeat.hpp"

namespace patchbay::egress {
namespace {

class CurlClient final : public HttpClient {
 public:
  CurlClient(Loop& loop, const Clock& clock, CredentialSource& credentials, const CurlSettings& settings,
             AddressGuard guard)
      : loop_(loop), clock_(clock), credentials_(credentials), settings_(settings), guard_(std::move(guard)) {}
  ~CurlClient() override;
  [[nodiscard]] Result<> start();

  Handle send(HttpRequest request, Done done) override;
  void cancel(Handle handle) override;

 private:
  using Outcome = std::expected<HttpReply, Failure>;
  struct Answer {
    Done done;
    Result<HttpReply> result;
  };

  Exchange& take_exchange();
  Exchange* find(Handle handle);
  ProviderMetrics& metrics_of(const std::string& provider);
  Transfer* take_transfer();

  void enter(Exchange& exchange);
  void attempt(Exchange& exchange);
  [[nodiscard]] Result<> try_attempt(Exchange& exchange);
  void stop_waiting(Exchange& exchange);
  void release_connection(Exchange& exchange);
  void completed(const std::vector<Multi::Completed>& batch);
  void settle(Exchange& exchange, Outcome outcome);
  [[nodiscard]] bool repeats_later(Exchange& exchange, Outcome& outcome);
  void wake_at(Exchange& exchange, Exchange::TimePoint when);
  void woken();
  void admit();
  void finish(Exchange& exchange, Result<HttpReply> result);
  void deliver();
  void deliver_soon();

  Loop& loop_;
  const Clock& clock_;
  CredentialSource& credentials_;
  const CurlSettings settings_;
  const AddressGuard guard_;
  std::minstd_rand dice_{std::random_device{}()};
  std::unordered_map<std::string, ProviderMetrics> metrics_;

  Admission admission_{{settings_.connections_per_host, settings_.connections, settings_.waiting}};
  Exchange::Deadlines deadlines_;  // who waits, and until when at most
  std::unique_ptr<LazyAlarm> alarm_;
  std::unique_ptr<Multi> multi_;
  std::deque<Exchange> exchanges_;  // by index; never moved
  std::vector<Exchange*> free_exchanges_;
  std::vector<std::unique_ptr<Transfer>> transfers_;
  std::vector<Transfer*> free_transfers_;
  std::vector<Answer> answers_;  // not yet told
  bool delivering_soon_ = false;
  std::shared_ptr<char> alive_ = std::make_shared<char>();  // posts that are late see that it went
};

Result<> CurlClient::start() {
  auto multi = Multi::create(loop_.context(), settings_.connections,
                             [this](const std::vector<Multi::Completed>& batch) { completed(batch); });
  if (!multi) return std::unexpected(std::move(multi.error()));
  multi_ = std::move(*multi);
  alarm_ = std::make_unique<LazyAlarm>(loop_.context(), [this] { woken(); });
  return {};
}

CurlClient::~CurlClient() {
  alive_.reset();
  for (auto& exchange : exchanges_) {
    if (!exchange.is_live()) continue;
    if (exchange.transfer != nullptr) multi_->remove(*exchange.transfer);
    finish(exchange, fail(Errc::cancelled, "http client is gone"));
  }
  // The posts hold what they need, nothing of this.
  for (auto& answer : answers_) {
    loop_.post([answer = std::move(answer)]() mutable { answer.done(std::move(answer.result)); });
  }
  transfers_.clear();  // before the multi handle that they were in, and the poller below it
}

HttpClient::Handle CurlClient::send(HttpRequest request, Done done) {
  auto& metrics = metrics_of(request.provider);
  auto& exchange = take_exchange();
  exchange.begin(std::move(request), std::move(done), metrics);
  const auto handle = exchange.handle();
  if (deadlines_.size() >= settings_.waiting) {  // for a connection or for another attempt
    finish(exchange, fail(Errc::exhausted, "too many http requests are waiting"));
  } else {
    enter(exchange);
  }
  if (!answers_.empty()) deliver_soon();
  return handle;
}

void CurlClient::cancel(Handle handle) {
  auto* const exchange = find(handle);
  if (exchange == nullptr) return;
  if (exchange->transfer != nullptr) {
    multi_->remove(*exchange->transfer);
    release_connection(*exchange);
  }
  finish(*exchange, fail(Errc::cancelled, "http request was cancelled"));
  admit();
  deliver_soon();
}

Exchange& CurlClient::take_exchange() {
  if (free_exchanges_.empty()) return exchanges_.emplace_back(static_cast<std::uint32_t>(exchanges_.size()));
  auto* const exchange = free_exchanges_.back();
  free_exchanges_.pop_back();
  return *exchange;
}

Exchange* CurlClient::find(Handle handle) {
  const auto index = (handle & 0xffff'ffff) - 1;
  if (index >= exchanges_.size()) return nullptr;
  auto& exchange = exchanges_[index];
  return exchange.is_live() && exchange.handle() == handle ? &exchange : nullptr;
}

ProviderMetrics& CurlClient::metrics_of(const std::string& provider) {
  return metrics_.try_emplace(provider, provider).first->second;
}

Transfer* CurlClient::take_transfer() {
  if (!free_transfers_.empty()) {
    auto* const transfer = free_transfers_.back();
    free_transfers_.pop_back();
    return transfer;
  }
  auto transfer = Transfer::create(settings_, guard_, multi_->poller());
  if (!transfer) return nullptr;
  return transfers_.emplace_back(std::move(*transfer)).get();
}

// Aims at the request's URL and begins, or waits for its turn.
void CurlClient::enter(Exchange& exchange) {
  if (auto checked = check_method(exchange.request.method); !checked) {
    return finish(exchange, std::unexpected(std::move(checked.error())));
  }
  if (auto aimed = exchange.aim(); !aimed) return finish(exchange, std::unexpected(std::move(aimed.error())));
  switch (admission_.enter(exchange, exchange.ticket, exchange.target.origin)) {
    case Admission::Entry::started:
      return attempt(exchange);
    case Admission::Entry::waiting:
      return wake_at(exchange, std::chrono::steady_clock::now() + exchange.time_left());
    case Admission::Entry::refused:
      return finish(exchange, fail(Errc::exhausted, "too many http requests are waiting"));
  }
}

// It has a connection's place; makes the attempt, or gives the place back.
void CurlClient::attempt(Exchange& exchange) {
  auto begun = try_attempt(exchange);
  if (begun) return;
  if (exchange.transfer != nullptr) {
    release_connection(exchange);
  } else {
    admission_.leave(exchange.ticket);
  }
  finish(exchange, std::unexpected(std::move(begun.error())));
}

Result<> CurlClient::try_attempt(Exchange& exchange) {
  ++exchange.attempts;
  if (auto prepared = exchange.prepare(credentials_, clock_.now()); !prepared) return prepared;
  exchange.transfer = take_transfer();
  if (exchange.transfer == nullptr) return fail(Errc::exhausted, "no memory for another http transfer");
  exchange.transfer->owner = &exchange;
  auto begun =
      exchange.transfer->begin(exchange.request.method, exchange.outgoing, exchange.target, exchange.time_left());
  if (!begun) return begun;
  return multi_->add(*exchange.transfer);
}

void CurlClient::release_connection(Exchange& exchange) {
  exchange.transfer->clear();
  exchange.transfer->owner = nullptr;
  free_transfers_.push_back(std::exchange(exchange.transfer, nullptr));
  exchange.outgoing.wipe();
  admission_.leave(exchange.ticket);
}

void CurlClient::completed(const std::vector<Multi::Completed>& batch) {
  for (const auto& [transfer, code] : batch) {
    auto& exchange = *static_cast<Exchange*>(transfer->owner);
    settle(exchange, transfer->end(code));
  }
  admit();
  deliver();  // may destroy this
}

// An attempt is over: the request is answered, goes on elsewhere, or is tried again.
void CurlClient::settle(Exchange& exchange, Outcome outcome) {
  if (outcome) {
    auto followed = exchange.follow(*outcome);  // needs the URL that was sent
    release_connection(exchange);
    if (!followed) return finish(exchange, std::unexpected(std::move(followed.error())));
    if (*followed) return enter(exchange);
  } else {
    release_connection(exchange);
  }
  if (repeats_later(exchange, outcome)) return;
  if (!outcome) return finish(exchange, std::unexpected(std::move(outcome.error().error)));
  finish(exchange, std::move(*outcome));
}

bool CurlClient::repeats_later(Exchange& exchange, Outcome& outcome) {
  const bool is_worth_it = outcome ? is_passing(outcome->status) : outcome.error().may_repeat;
  if (!is_worth_it || exchange.attempts > settings_.repeats || !is_repeatable(exchange.request)) return false;
  auto delay = back_off(exchange.attempts, static_cast<std::uint32_t>(dice_()) * 2U);
  if (outcome) delay = retry_after(outcome->header("retry-after"), clock_.now()).value_or(delay);
  if (delay >= exchange.time_left()) return false;
  log::debug("egress", "{} {}: attempt {} failed, the next in {} ms", exchange.request.provider, exchange.target.host(),
             exchange.attempts, delay.count());
  wake_at(exchange, std::chrono::steady_clock::now() + delay);
  return true;
}

void CurlClient::wake_at(Exchange& exchange, Exchange::TimePoint when) {
  exchange.wake = deadlines_.emplace(when, &exchange);
  alarm_->set(deadlines_.begin()->first);
}

void CurlClient::stop_waiting(Exchange& exchange) {
  if (exchange.wake) deadlines_.erase(*exchange.wake);
  exchange.wake.reset();
  if (exchange.ticket.is_waiting) admission_.withdraw(exchange.ticket);
}

// Somebody's back-off is over, or has waited for a connection until there is no time left.
void CurlClient::woken() {
  const auto now = std::chrono::steady_clock::now();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    auto& exchange = *deadlines_.begin()->second;
    const bool gave_up = exchange.ticket.is_waiting;
    stop_waiting(exchange);
    if (gave_up) {
      finish(exchange, fail(Errc::timeout, "no connection became free in time"));
    } else {
      enter(exchange);
    }
  }
  if (!deadlines_.empty()) alarm_->set(deadlines_.begin()->first);
  admit();
  deliver();  // may destroy this
}

// Places that became free go to those who wait.
void CurlClient::admit() {
  while (auto* const exchange = admission_.next()) {
    admission_.started(exchange->ticket);
    stop_waiting(*exchange);
    attempt(*exchange);
  }
}

void CurlClient::finish(Exchange& exchange, Result<HttpReply> result) {
  stop_waiting(exchange);
  if (!result) result = std::unexpected(exchange.cleaned(std::move(result.error())));
  exchange.note(result);
  answers_.push_back({std::move(exchange.done), std::move(result)});
  exchange.end();
  free_exchanges_.push_back(&exchange);
}

// The callers may send, cancel or destroy the client.
void CurlClient::deliver() {
  if (answers_.empty()) return;
  auto answers = std::exchange(answers_, {});
  for (auto& answer : answers) answer.done(std::move(answer.result));
}

void CurlClient::deliver_soon() {
  if (delivering_soon_) return;
  delivering_soon_ = true;
  loop_.post([this, alive = std::weak_ptr<char>(alive_)] {
    if (alive.expired()) return;
    delivering_soon_ = false;
    deliver();
  });
}

}  // namespace

Result<std::unique_ptr<HttpClient>> make_curl_client(Loop& loop, const Clock& clock, CredentialSource& credentials,
                                                     const CurlSettings& settings) {
  auto guard = AddressGuard::create(settings.allowed_private_networks);
  if (!guard) return std::unexpected(std::move(guard.error()));
  auto client = std::make_unique<CurlClient>(loop, clock, credentials, settings, std::move(*guard));
  if (auto started = client->start(); !started) return std::unexpected(std::move(started.error()));
  return client;
}

}  // namespace patchbay::egress
