#include "bench/outcome.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace patchbay::bench {
namespace {

struct Seen {
  std::uint64_t first_ns = 0;
  std::vector<std::uint64_t> keys;  // of its arrivals, each once; 0 is none and never equals another
};

}  // namespace

Percentiles percentiles_ms(std::vector<std::uint64_t> durations_ns) {
  if (durations_ns.empty()) return {};
  std::sort(durations_ns.begin(), durations_ns.end());
  const auto rank = [&](double share) {
    const auto nth = static_cast<std::size_t>(std::ceil(share * static_cast<double>(durations_ns.size())));
    return static_cast<double>(durations_ns[std::max<std::size_t>(nth, 1) - 1]) / 1e6;
  };
  return {.p50 = rank(0.5), .p99 = rank(0.99), .most = rank(1)};
}

Outcome match(const std::vector<harness::Sent>& sent, const std::vector<harness::Arrival>& arrivals,
              std::uint64_t began_ns) {
  Outcome outcome;
  outcome.issued = sent.size();
  std::unordered_map<std::uint64_t, Seen> by_id;
  by_id.reserve(sent.size());
  for (const auto& request : sent) by_id.try_emplace(request.id);

  std::uint64_t last_ns = began_ns;
  for (const auto& arrival : arrivals) {
    const auto found = by_id.find(arrival.id);
    if (found == by_id.end()) continue;  // of another load
    auto& seen = found->second;
    last_ns = std::max(last_ns, arrival.at_ns);
    if (seen.first_ns == 0) {
      seen.first_ns = arrival.at_ns;
      ++outcome.arrived;
    } else if (arrival.key_hash != 0 && std::ranges::find(seen.keys, arrival.key_hash) != seen.keys.end()) {
      ++outcome.repeated;
      continue;
    } else {
      ++outcome.doubled;
    }
    seen.keys.push_back(arrival.key_hash);
  }

  std::vector<std::uint64_t> responses;
  std::vector<std::uint64_t> ends;
  for (const auto& request : sent) {
    const auto& seen = by_id.at(request.id);
    if (seen.first_ns != 0) ends.push_back(seen.first_ns - request.sent_ns);
    if (request.accepted()) {
      ++outcome.accepted;
      responses.push_back(request.answered_ns - request.sent_ns);
      if (seen.first_ns == 0) ++outcome.lost;
    } else if (request.status != 0) {
      ++outcome.refused;
    } else {
      ++outcome.unanswered;
    }
  }
  outcome.response_ms = percentiles_ms(std::move(responses));
  outcome.end_to_end_ms = percentiles_ms(std::move(ends));
  if (last_ns > began_ns) {
    outcome.reactions_per_s = static_cast<double>(outcome.arrived) / (static_cast<double>(last_ns - began_ns) / 1e9);
  }
  return outcome;
}

}  // namespace patchbay::bench
