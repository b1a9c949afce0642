#pragma once

#include <vector>

#include "bench/contestant.hpp"
#include "bench/outcome.hpp"
#include "harness/sink.hpp"

namespace patchbay::bench {

// The workloads of README.md. Each leaves the contestant running and the sink quiet.

struct Throughput : Outcome {
  int concurrency = 0;
  double cpu_ms_per_reaction = 0;  // of all the contestant's processes, user + system, per number that arrived
  double resident_mb = 0;          // right after the load
};

struct Idle {
  double resident_mb = 0;
  double start_ms = 0;  // from exec until the first webhook is answered 2xx; median
};

// numbers: the next bench id, counted on by each workload, so that no two share one.
struct Bench {
  harness::Sink& sink;
  std::string body;
  std::uint64_t next_id = 1;
};

// W1: webhooks at full speed for so many seconds.
[[nodiscard]] Throughput measure_throughput(Bench& bench, Contestant& contestant, int concurrency, double seconds);

// W2: stops and starts it so many times.
[[nodiscard]] Idle measure_idle(Bench& bench, Contestant& contestant, int starts);

// W3: newly started, kill -9 when 1,000 are accepted, under full load that goes on; then a new start.
[[nodiscard]] Outcome measure_kill(Bench& bench, Contestant& contestant);

}  // namespace patchbay::bench
