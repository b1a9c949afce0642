#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>

namespace patchbay::scale {

// Each prints what it measures as it goes (to standard error) and gives the figures; the member "wrong" counts what must not
// be.

struct RetentionPlan {
  int runs = 1'000'000;
  int payload_bytes = 5'000;
  int cap_mb = 500;
  double rate = 3'000;  // webhooks a second
  bool comparison = true;  // of response times, with as many as go into a tenth of the cap before anything is removed
};
nlohmann::ordered_json try_retention(const RetentionPlan& plan);

struct WaitingPlan {
  int runs = 10'000;
  double most_mb = 60;
};
nlohmann::ordered_json try_waiting(const WaitingPlan& plan);

struct FlowsPlan {
  int flows = 100'000;
  double rate = 500;
  double seconds = 10;
  bool comparison = true;
};
nlohmann::ordered_json try_flows(const FlowsPlan& plan);

}  // namespace patchbay::scale
