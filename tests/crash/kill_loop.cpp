#include "crash/kill_loop.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <random>
#include <stdexcept>
#include <thread>

#include "harness/clock.hpp"

namespace patchbay::crash {
namespace {

using harness::steady_ns;
using std::chrono::milliseconds;

// One kill. The times when it happens and what the load does meanwhile come from random.
void kill_once(harness::MessageRig& rig, int concurrency, std::mt19937_64& random, Verdict& verdict) {
  const auto kill_after = milliseconds(std::uniform_int_distribution(50, 1500)(random));
  const bool goes_on = std::bernoulli_distribution(0.5)(random);
  const auto then = milliseconds(std::uniform_int_distribution(0, 400)(random));
  auto settings = rig.load_settings();
  settings.concurrency = concurrency;
  harness::Load load(std::move(settings));
  std::this_thread::sleep_for(kill_after);
  if (!rig.host().running()) throw std::runtime_error("the host ended by itself:\n" + rig.host().log());
  rig.host().kill();
  if (!goes_on) load.stop();
  const auto began_ns = steady_ns();
  rig.host().start();
  verdict.longest_restart_ms = std::max(verdict.longest_restart_ms, static_cast<double>(steady_ns() - began_ns) / 1e6);
  std::this_thread::sleep_for(then);
  load.stop();
  rig.add(load.finish());
}

}  // namespace

Verdict run(const Plan& plan, const std::function<void(const std::string&)>& progress) {
  Verdict verdict;
  std::mt19937_64 random(plan.seed);
  std::optional<harness::MessageRig> rig;
  for (int round = 1; round <= plan.rounds; ++round) {
    if (!rig) rig.emplace("crash", plan.database);
    kill_once(*rig, plan.concurrency, random, verdict);
    progress("round " + std::to_string(round) + ": " + std::to_string(rig->accepted()) + " accepted so far");
    if (!plan.fresh && round < plan.rounds) continue;
    rig->judge(verdict);
    rig.reset();
  }
  return verdict;
}

}  // namespace patchbay::crash
