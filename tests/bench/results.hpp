#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/workloads.hpp"

namespace patchbay::bench {

// All figures of one contestant. w1 holds one entry a concurrency, the last is the one that counts.
struct Results {
  std::vector<Throughput> w1;
  Idle idle;                        // W2, one active flow
  std::optional<Idle> idle_loaded;  // W2, with sleeping flows beside it
  int sleeping_flows = 0;
  std::vector<Outcome> w3;  // one entry a kill
};

[[nodiscard]] nlohmann::ordered_json to_json(const Results& results);
[[nodiscard]] std::string to_table(const Results& patchbay, const Results* reference);

}  // namespace patchbay::bench
