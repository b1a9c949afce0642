#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "harness/load.hpp"
#include "harness/sink.hpp"

namespace patchbay::bench {

struct Percentiles {
  double p50 = 0;
  double p99 = 0;
  double most = 0;
};

// What became of the webhooks of one load, matched with what arrived at the sink by number.
struct Outcome {
  std::size_t issued = 0;
  std::size_t accepted = 0;    // answered 2xx
  std::size_t refused = 0;     // answered otherwise
  std::size_t unanswered = 0;  // the connection broke
  std::size_t arrived = 0;     // numbers that the sink saw, each counted once
  std::size_t lost = 0;        // accepted, but never arrived
  // Arrivals of a number after the first. One that carries the same Idempotency-Key as an earlier one is a repetition
  // that a receiver recognises; any other is a second reaction.
  std::size_t doubled = 0;
  std::size_t repeated = 0;
  double reactions_per_s = 0;  // from the first request until the last arrival
  Percentiles response_ms;     // from the first byte sent until the answer was read
  Percentiles end_to_end_ms;   // until it arrived at the sink
};

[[nodiscard]] Outcome match(const std::vector<harness::Sent>& sent, const std::vector<harness::Arrival>& arrivals,
                            std::uint64_t began_ns);

// Each by nearest rank; all zero when there are none.
[[nodiscard]] Percentiles percentiles_ms(std::vector<std::uint64_t> durations_ns);

}  // namespace patchbay::bench
