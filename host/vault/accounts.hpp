#pragma once

#include <string>

#include "core/executor.hpp"
#include "vault/connections.hpp"

namespace patchbay::vault {

struct Account {
  std::string id;
  std::string name;
};

// What is asked of a provider about an account, as its manifest says. Blocking, on any thread but the loop's.
class Accounts {
 public:
  // All outlive it. plain: adds a connection's credentials, and nothing more; refreshing: with a new token if need be.
  Accounts(Executor& loop, egress::HttpClient& plain, egress::HttpClient& refreshing, Connections& connections)
      : loop_(loop), plain_(plain), refreshing_(refreshing), connections_(connections) {}

  // Whose account these fields open. Empty where the manifest does not say how to ask. Errc::denied: the provider does not
  // take them; unavailable: it does not answer.
  Result<Account> identify(const std::string& provider, const plugin::AuthScheme& scheme, const Fields& fields);
  // A real, harmless call with the connection's credentials. Errc::invalid: the manifest names none; denied: they are
  // refused; unavailable: the provider does not answer.
  Result<Account> test(UserId user, ConnectionId id);
  // Has the provider forget the tokens, where it can.
  Result<> revoke(ConnectionId id);

  [[nodiscard]] Executor& loop() const { return loop_; }
  [[nodiscard]] egress::HttpClient& plain() const { return plain_; }

 private:
  Executor& loop_;
  egress::HttpClient& plain_;
  egress::HttpClient& refreshing_;
  Connections& connections_;
};

}  // namespace patchbay::vault
