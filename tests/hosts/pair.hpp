#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/host.hpp"
#include "harness/load.hpp"
#include "harness/scratch.hpp"
#include "harness/simulators.hpp"
#include "harness/sink.hpp"
#include "support/postgresql_server.hpp"

namespace patchbay::hosts {

struct PairSettings {
  int places = 8;         // reactions that one host has under way at the same time
  int answer_ms = 20;     // what the provider takes for each
  int lease_seconds = 15;
};

// Two hosts on one PostgreSQL, and one flow: every GitHub issue becomes a POST to a slow sink. One thread.
class Pair {
 public:
  explicit Pair(const PairSettings& settings);

  [[nodiscard]] harness::Host& host(int which) { return which == 0 ? *first_ : *second_; }
  [[nodiscard]] harness::Api& api() { return *api_; }
  [[nodiscard]] harness::Sink& sink() { return sink_; }
  // A load to one of them.
  [[nodiscard]] harness::LoadSettings load_to(int which);
  // Remembers what must arrive.
  void add(const std::vector<harness::Sent>& sent);

  struct Count {
    std::size_t accepted = 0;
    std::size_t lost = 0;
    std::size_t doubled = 0;  // arrived under more than one idempotency key: two runs
    std::size_t repeated = 0;  // arrived more than once under one key: asked again, as promised
  };
  // Waits until all has arrived that was accepted; none after the limit.
  [[nodiscard]] bool wait_for_all(double limit_seconds);
  [[nodiscard]] Count count();
  void forget();

 private:
  std::size_t missing();

  harness::ScratchFolder folder_{"hosts"};
  support::PostgresqlServer server_;
  harness::Sink sink_;
  harness::Simulators simulators_;
  std::optional<harness::Host> first_;
  std::optional<harness::Host> second_;
  std::optional<harness::Api> api_;
  harness::Target target_;
  std::uint64_t next_id_ = 1;
  std::vector<std::uint64_t> accepted_;
};

}  // namespace patchbay::hosts
