#include "vault/token_refresher.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/log.hpp"
#include "vault/assertion.hpp"

namespace patchbay::vault {
namespace {

using std::chrono::milliseconds;

constexpr int kTries = 3;
constexpr milliseconds kFirstPause{500};
constexpr milliseconds kLongestPause{10'000};
constexpr milliseconds kAskOther{150};  // whether the host that has the turn is done
constexpr milliseconds kStoreAgain{500};
constexpr milliseconds kRequestTimeout{8'000};  // so that three tries fit into a turn
constexpr Duration kFirstRetry = std::chrono::seconds{10};
constexpr Duration kLongestRetry = std::chrono::minutes{15};

Result<Form> form_of(const Renewal& renewal, Timestamp now) {
  const auto& fields = renewal.fields;
  const auto& oauth = renewal.party.scheme;
  Form form;
  for (const auto& [name, value] : oauth.token_params) form.emplace_back(name, value);
  if (const auto token = fields.find("refresh_token"); token != fields.end()) {
    form.emplace_back("grant_type", "refresh_token");
    form.emplace_back("refresh_token", std::string(token->second.reveal()));
    return form;
  }
  const auto scope = to_text(renewal.connection.scopes.value_or(oauth.scopes));
  if (fields.contains("private_key")) {
    auto assertion = make_assertion(fields, oauth.audience.empty() ? oauth.token_url : oauth.audience, scope, now);
    if (!assertion) return std::unexpected(assertion.error());
    form.emplace_back("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
    form.emplace_back("assertion", std::string(assertion->reveal()));
    return form;
  }
  form.emplace_back("grant_type", "client_credentials");
  if (!scope.empty()) form.emplace_back("scope", scope);
  return form;
}

}  // namespace

struct TokenRefresher::Attempt {
  ConnectionId id;
  int seen = 0;
  int tries = 0;
  bool is_refused = false;
  std::optional<Renewal> renewal;
  std::vector<Done> waiting;
};

TokenRefresher::TokenRefresher(Executor& loop, Executor& background, const Clock& clock, egress::HttpClient& client, Connections& connections)
    : loop_(loop),
      background_(background),
      clock_(clock),
      client_(client),
      connections_(connections),
      renewed_(metrics::counter("patchbay_token_refreshes_total", "Requests for a new access token", {{"status", "ok"}})),
      failed_(metrics::counter("patchbay_token_refreshes_total", "Requests for a new access token", {{"status", "failed"}})) {}

TokenRefresher::~TokenRefresher() { *alive_ = false; }

void TokenRefresher::begin(Duration often) { look_later(often); }

void TokenRefresher::look_later(Duration often) {
  loop_.after(std::chrono::duration_cast<milliseconds>(often), [this, alive = alive_, often] {
    if (!*alive) return;
    look();
    look_later(often);
  });
}

void TokenRefresher::look() {
  if (std::exchange(looking_, true)) return;
  background_.post([this, alive = alive_] {
    auto changed = connections_.load_changed();
    auto due = connections_.due_for_renewal();
    loop_.post([this, alive, changed = std::move(changed), due = std::move(due)] {
      if (!*alive) return;
      looking_ = false;
      if (!changed) log::warn("vault", "what other hosts changed of connections could not be read: {}", changed.error().message);
      if (!due) return log::warn("vault", "connections could not be looked through: {}", due.error().message);
      for (const auto id : *due) {
        if (const auto standing = connections_.standing(id)) renew(id, standing->version, Why::expires, [](Result<>) {});
      }
    });
  });
}

void TokenRefresher::look_up(ConnectionId id, Task then) {
  background_.post([this, alive = alive_, id, then = std::move(then)]() mutable {
    auto loaded = connections_.load(id);
    loop_.post([alive, id, then = std::move(then), loaded = std::move(loaded)]() mutable {
      if (!*alive) return;
      if (!loaded && loaded.error().code != Errc::not_found) log::warn("vault", "connection {}: {}", id.to_string(), loaded.error().message);
      then();
    });
  });
}

void TokenRefresher::renew(ConnectionId id, int seen, Why why, Done done) {
  if (const auto found = attempts_.find(id); found != attempts_.end()) {
    found->second->waiting.push_back(std::move(done));
    found->second->is_refused = found->second->is_refused || why == Why::refused;
    return;
  }
  const auto standing = connections_.standing(id);
  const bool has_time = why == Why::expires && standing && standing->version == seen && standing->expires && *standing->expires > clock_.now();
  if (const auto failed = failures_.find(id); has_time && failed != failures_.end() && failed->second.not_before > clock_.now()) {
    loop_.post([done = std::move(done)]() mutable { done(fail(Errc::unavailable, "a new token is asked for again later")); });
    return;
  }
  const auto attempt = std::make_shared<Attempt>();
  attempt->id = id;
  attempt->seen = seen;
  attempt->is_refused = why == Why::refused;
  attempt->waiting.push_back(std::move(done));
  attempts_.emplace(id, attempt);
  take_turn(attempt);
}

void TokenRefresher::take_turn(const AttemptPointer& attempt) {
  background_.post([this, alive = alive_, attempt] {
    auto turn = connections_.take_turn(attempt->id, attempt->seen);
    loop_.post([this, alive, attempt, turn = std::move(turn)]() mutable {
      if (*alive) took_turn(attempt, std::move(turn));
    });
  });
}

void TokenRefresher::took_turn(const AttemptPointer& attempt, Result<Turn> turn) {
  if (!turn) return end(attempt, std::unexpected(turn.error()));
  if (std::holds_alternative<AlreadyRenewed>(*turn)) return end(attempt, {});
  if (std::holds_alternative<WaitForOther>(*turn)) {
    loop_.after(kAskOther, [this, alive = alive_, attempt] {
      if (*alive) take_turn(attempt);
    });
    return;
  }
  attempt->renewal = std::get<Renewal>(*std::move(turn));
  ask(attempt);
}

void TokenRefresher::ask(const AttemptPointer& attempt) {
  ++attempt->tries;
  const auto& party = attempt->renewal->party;
  auto form = form_of(*attempt->renewal, clock_.now());
  if (!form) return failed(attempt, {TokenFault::invalid_grant, form.error().message});
  auto request = client_request(party, party.scheme.token_url, *std::move(form));
  request.timeout = kRequestTimeout;
  client_.send(std::move(request), [this, alive = alive_, attempt](Result<egress::HttpReply> reply) {
    if (*alive) answered(attempt, std::move(reply));
  });
}

void TokenRefresher::answered(const AttemptPointer& attempt, Result<egress::HttpReply> reply) {
  auto tokens = read_tokens(attempt->renewal->party.provider, reply);
  if (!tokens) return failed(attempt, tokens.error());
  renewed_.increment();
  failures_.erase(attempt->id);
  store(attempt, [this, attempt, tokens = *std::move(tokens)] { return connections_.renewed(*attempt->renewal, tokens); }, {});
}

void TokenRefresher::failed(const AttemptPointer& attempt, const TokenError& error) {
  if (error.fault == TokenFault::passing && attempt->tries < kTries) {
    const auto pause = std::min(kFirstPause * (1 << (2 * (attempt->tries - 1))), kLongestPause);
    loop_.after(pause, [this, alive = alive_, attempt] {
      if (*alive) ask(attempt);
    });
    return;
  }
  failed_.increment();
  const auto id = attempt->id;
  log::warn("vault", "no new token for connection {}: {}", id.to_string(), error.message);
  if (error.fault == TokenFault::invalid_grant || error.fault == TokenFault::denied || error.fault == TokenFault::expired) {
    store(attempt, [this, id, version = attempt->renewal->connection.version, why = error.message] { return connections_.refused(id, version, why); },
          fail(Errc::unauthenticated, error.message));
    return;
  }
  auto& failures = failures_[id];
  const auto wait =
      error.fault == TokenFault::client ? kLongestRetry : std::min(kFirstRetry * (1 << std::min(failures.in_a_row++, 10)), kLongestRetry);
  failures.not_before = clock_.now() + wait;
  const auto& connection = attempt->renewal->connection;
  const bool was_well = connection.state != ConnectionState::errored && !attempt->is_refused;
  if (was_well && connection.expires && *connection.expires > clock_.now()) {  // the old one is good for a while: no trouble yet
    store(attempt, [this, id] { return connections_.give_turn_back(id); }, fail(Errc::unavailable, error.message));
    return;
  }
  store(attempt, [this, id, why = error.message, at = clock_.now() + wait] { return connections_.errored(id, why, at); },
        fail(Errc::unavailable, error.message));
}

void TokenRefresher::store(const AttemptPointer& attempt, std::move_only_function<Result<>()> work, Result<> outcome) {
  background_.post([this, alive = alive_, attempt, work = std::move(work), outcome = std::move(outcome)]() mutable {
    auto stored = work();
    loop_.post([this, alive, attempt, stored = std::move(stored), work = std::move(work), outcome = std::move(outcome)]() mutable {
      if (!*alive) return;
      if (stored || stored.error().code == Errc::conflict) return end(attempt, std::move(outcome));  // conflict: a newer one is there
      log::error("vault", "connection {}: {}", attempt->id.to_string(), stored.error().message);
      if (!may_pass(stored.error().code)) return end(attempt, std::move(stored));
      loop_.after(kStoreAgain, [this, alive, attempt, work = std::move(work), outcome = std::move(outcome)]() mutable {
        if (*alive) store(attempt, std::move(work), std::move(outcome));
      });
    });
  });
}

void TokenRefresher::end(const AttemptPointer& attempt, Result<> result) {
  attempts_.erase(attempt->id);
  attempt->renewal.reset();
  auto waiting = std::move(attempt->waiting);
  for (auto& done : waiting) done(result);
}

void TokenRefresher::refused(ConnectionId id, int seen, std::string why, Done done) {
  struct Trial {
    Result<std::optional<egress::HttpRequest>> request = std::nullopt;
    std::string why;
    Done done;
  };
  const auto trial = std::make_shared<Trial>();
  trial->why = std::move(why);
  trial->done = std::move(done);
  const auto note = [this, alive = alive_, id, seen, trial] {
    background_.post([this, alive, id, seen, trial] {
      auto noted = connections_.refused(id, seen, trial->why);
      loop_.post([alive, trial, noted = std::move(noted)]() mutable {
        if (*alive) trial->done(std::move(noted));
      });
    });
  };
  background_.post([this, alive = alive_, id, trial, note] {
    trial->request = connections_.test_request(id);
    loop_.post([this, alive, trial, note] {
      if (!*alive) return;
      if (!trial->request || !*trial->request) return note();
      client_.send(**std::move(trial->request), [alive, trial, note](Result<egress::HttpReply> reply) {
        if (!*alive) return;
        if (!reply || reply->status != 401) return trial->done({});  // the credentials are good; it was something else
        note();
      });
    });
  });
}

}  // namespace patchbay::vault
