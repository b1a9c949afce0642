#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "harness/clock.hpp"
#include "harness/process.hpp"
#include "scale/rig.hpp"
#include "scale/trials.hpp"

namespace patchbay::scale {

nlohmann::ordered_json try_waiting(const WaitingPlan& plan) {
  Rig rig;
  // Nobody listens there: each run waits an hour for its second attempt, or until the provider is no longer left alone.
  rig.activate("http://127.0.0.1:" + std::to_string(harness::free_port()) + "/",
               R"(, "retry": {"attempts": 5, "first_ms": 3600000, "longest_ms": 3600000})");
  const double before = rig.host().process().resident_mb();
  harness::LoadSettings load{.target = rig.target(), .body = payload_of(5'000), .concurrency = 32};
  load.count = static_cast<std::uint64_t>(plan.runs);
  const auto sent = harness::Load(std::move(load)).finish();
  const auto accepted = std::ranges::count_if(sent, &harness::Sent::accepted);
  const double busy = rig.host().process().resident_mb();
  std::this_thread::sleep_for(std::chrono::seconds(10));
  const double after = rig.host().process().resident_mb();
  const auto waiting = rig.api().count_runs("status=running") + rig.api().count_runs("status=pending");
  const int stop_code = rig.host().stop();
  int wrong = after > plan.most_mb ? 1 : 0;
  wrong += static_cast<std::size_t>(accepted) == waiting && stop_code == 0 ? 0 : 1;
  return {{"runs", accepted}, {"waiting", waiting}, {"rss_mb_before", before}, {"rss_mb_under_load", busy}, {"rss_mb_waiting", after}, {"wrong", wrong}};
}

}  // namespace patchbay::scale
