#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "core/executor.hpp"
#include "core/metrics.hpp"
#include "vault/connections.hpp"

namespace patchbay::vault {

// Gets new tokens: ahead of expiry, when one has expired, or when the provider refuses one. One request at a time for a
// connection, whatever asks and on however many hosts; the new token is stored before anybody uses it. On the loop's thread
// only; what blocks is done on `background`.
class TokenRefresher {
 public:
  using Done = std::move_only_function<void(Result<>)>;

  // All outlive it. client: without credentials of its own.
  TokenRefresher(Executor& loop, Executor& background, const Clock& clock, egress::HttpClient& client, Connections& connections);
  ~TokenRefresher();

  // From now on: asks again for those that errored, keeps alive what nobody uses, and hears what other hosts have changed.
  void begin(Duration often = std::chrono::seconds{5});

  // Reads a connection that this host does not know: another one may have made it. Answers later.
  void look_up(ConnectionId id, Task then);
  // A newer token than version `seen`. Errc::unauthenticated: a person must sign in; unavailable: the provider cannot be
  // reached now. Answers later, also when there is nothing to do.
  enum class Why { expires, refused };  // refused: the provider has not taken it, whatever time it has left
  void renew(ConnectionId id, int seen, Why why, Done done);
  [[nodiscard]] bool is_renewing(ConnectionId id) const { return attempts_.contains(id); }
  // The provider does not take version `seen`: whether that is so is tried with the manifest's test, and noted.
  void refused(ConnectionId id, int seen, std::string why, Done done);

 private:
  struct Attempt;
  using AttemptPointer = std::shared_ptr<Attempt>;

  void take_turn(const AttemptPointer& attempt);
  void took_turn(const AttemptPointer& attempt, Result<Turn> turn);
  void ask(const AttemptPointer& attempt);
  void answered(const AttemptPointer& attempt, Result<egress::HttpReply> reply);
  void failed(const AttemptPointer& attempt, const TokenError& error);
  void end(const AttemptPointer& attempt, Result<> result);
  // Works on the background until the store takes it, for a token that rotated is good for nothing once it is lost; then
  // ends with the outcome.
  void store(const AttemptPointer& attempt, std::move_only_function<Result<>()> work, Result<> outcome);
  void look_later(Duration often);
  void look();

  Executor& loop_;
  Executor& background_;
  const Clock& clock_;
  egress::HttpClient& client_;
  Connections& connections_;
  std::unordered_map<ConnectionId, AttemptPointer> attempts_;
  struct Failures {
    int in_a_row = 0;
    Timestamp not_before;  // the next attempt ahead of expiry
  };
  std::unordered_map<ConnectionId, Failures> failures_;
  bool looking_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  metrics::Counter renewed_;
  metrics::Counter failed_;
};

}  // namespace patchbay::vault
