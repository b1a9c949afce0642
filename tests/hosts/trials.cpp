#include "hosts/trials.hpp"

#include <signal.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <thread>

#include "harness/clock.hpp"

namespace patchbay::hosts {
namespace {

using harness::steady_ns;

void add(Pair::Count& to, const Pair::Count& count) {
  to.accepted += count.accepted;
  to.lost += count.lost;
  to.doubled += count.doubled;
  to.repeated += count.repeated;
}

// to: the hosts that get the webhooks, in equal parts.
double reactions_per_second(Pair& pair, int events, const std::vector<int>& to, Pair::Count& count) {
  pair.forget();
  std::vector<std::unique_ptr<harness::Load>> loads;
  for (const int host : to) {
    auto settings = pair.load_to(host);
    settings.count = static_cast<std::uint64_t>(events) / to.size();
    loads.push_back(std::make_unique<harness::Load>(std::move(settings)));
  }
  for (auto& load : loads) pair.add(load->finish());
  if (!pair.wait_for_all(180)) throw std::runtime_error("events were still missing after 180 s");
  const auto arrivals = pair.sink().arrivals();
  const auto [first, last] = std::ranges::minmax_element(arrivals, {}, &harness::Arrival::at_ns);
  add(count, pair.count());
  return static_cast<double>(arrivals.size()) / (static_cast<double>(last->at_ns - first->at_ns) / 1e9);
}

}  // namespace

Throughput measure_throughput(Pair& pair, int events) {
  Throughput result;
  result.one = reactions_per_second(pair, events, {0}, result.count);
  pair.host(1).start();
  result.both = reactions_per_second(pair, events, {0, 1}, result.count);
  result.shared = reactions_per_second(pair, events, {0}, result.count);
  if (const int code = pair.host(1).stop(); code != 0) throw std::runtime_error("the second host ended with " + std::to_string(code));
  return result;
}

Takeover take_over(Pair& pair, Blow blow, double seconds, int lease_seconds) {
  pair.forget();
  pair.host(1).start();
  std::vector<std::unique_ptr<harness::Load>> loads;
  for (const int host : {0, 1}) {
    auto settings = pair.load_to(host);
    settings.rate = 500;  // more than they carry out, so that something is left
    settings.seconds = host == 0 ? seconds : seconds + 1;
    settings.patience_seconds = 2;
    loads.push_back(std::make_unique<harness::Load>(std::move(settings)));
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds * 0.8));
  auto& victim = pair.host(0);
  const auto struck = steady_ns();
  if (blow == Blow::kill) victim.kill();
  else ::kill(victim.process().pid(), SIGSTOP);
  for (auto& load : loads) {
    load->stop();
    pair.add(load->finish());
  }
  Takeover result;
  const bool all = pair.wait_for_all(lease_seconds + 60);
  result.seconds = static_cast<double>(steady_ns() - struck) / 1e9;
  if (blow == Blow::kill) {
    victim.start();
  } else {
    ::kill(victim.process().pid(), SIGCONT);
    // It finds out that it was taken for dead, and goes on as a new one.
    auto settings = pair.load_to(0);
    settings.count = 50;
    settings.concurrency = 1;
    std::this_thread::sleep_for(std::chrono::seconds(lease_seconds / 2 + 2));
    harness::Load after(std::move(settings));
    const auto sent = after.finish();
    if (std::ranges::none_of(sent, &harness::Sent::accepted)) throw std::runtime_error("the host that was frozen takes nothing any more:\n" + victim.log());
    pair.add(sent);
  }
  (void)pair.wait_for_all(60);
  result.count = pair.count();
  if (!all && result.count.lost == 0) result.seconds = -1;  // only with the first host's help
  pair.host(1).stop();
  return result;
}

}  // namespace patchbay::hosts
