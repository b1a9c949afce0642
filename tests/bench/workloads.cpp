#include "bench/workloads.hpp"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "harness/clock.hpp"
#include "harness/payload.hpp"
#include "harness/signature.hpp"

namespace patchbay::bench {
namespace {

using harness::steady_ns;
using harness::wait_until;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint64_t kIdsPerLoad = 10'000'000;
constexpr std::uint64_t kKillAfterAccepted = 1000;

harness::LoadSettings load_settings(Bench& bench, const Contestant& contestant, int concurrency) {
  harness::LoadSettings settings{.target = contestant.target(), .body = bench.body, .concurrency = concurrency};
  settings.first_id = bench.next_id;
  bench.next_id += kIdsPerLoad;
  return settings;
}

// Until as many arrived as were accepted, or nothing more comes.
void wait_for_arrivals(const harness::Sink& sink, std::size_t accepted, seconds patience) {
  std::size_t seen = sink.count();
  auto last_change = steady_ns();
  const auto done = [&] {
    if (sink.count() >= accepted) return true;
    if (sink.count() != seen) {
      seen = sink.count();
      last_change = steady_ns();
    }
    return steady_ns() - last_change > static_cast<std::uint64_t>(std::chrono::nanoseconds(patience).count());
  };
  (void)wait_until(done, seconds(300), milliseconds(1));
}

std::size_t count_accepted(const std::vector<harness::Sent>& sent) {
  return static_cast<std::size_t>(std::ranges::count_if(sent, &harness::Sent::accepted));
}

// Connections made, code paged in, JIT warm: what a server that has been up for a while has behind it.
void warm_up(Bench& bench, Contestant& contestant, int concurrency) {
  bench.sink.clear();
  auto settings = load_settings(bench, contestant, concurrency);
  settings.seconds = 1;
  harness::Load load(std::move(settings));
  wait_for_arrivals(bench.sink, count_accepted(load.finish()), seconds(5));
  bench.sink.clear();
}

double start_once(Bench& bench, Contestant& contestant) {
  const auto target = contestant.target();
  std::string body = bench.body;
  body.replace(body.find(harness::bench_id(0)), harness::kBenchIdLength, harness::bench_id(bench.next_id));
  const harness::Headers headers{{"Content-Type", "application/json"},
                                 {"X-GitHub-Event", "issues"},
                                 {"X-GitHub-Delivery", harness::bench_id(bench.next_id++)},
                                 {"X-Hub-Signature-256", harness::github_signature(target.secret, body)}};
  const std::string url = "http://127.0.0.1:" + std::to_string(target.port) + target.path;
  harness::Http http;
  const auto began = steady_ns();
  contestant.launch();
  const bool answered =
      wait_until([&] { return http.send("POST", url, headers, body).status / 100 == 2; }, seconds(60), milliseconds(1));
  if (!answered) throw std::runtime_error("no webhook was answered within 60 s of the start");
  return static_cast<double>(steady_ns() - began) / 1e6;
}

}  // namespace

Throughput measure_throughput(Bench& bench, Contestant& contestant, int concurrency, double seconds_long) {
  warm_up(bench, contestant, concurrency);
  auto settings = load_settings(bench, contestant, concurrency);
  settings.seconds = seconds_long;
  const double cpu_before = contestant.process().cpu_seconds();
  harness::Load load(std::move(settings));
  const auto began_ns = load.began_ns();
  const auto sent = load.finish();
  wait_for_arrivals(bench.sink, count_accepted(sent), seconds(10));
  const double cpu = contestant.process().cpu_seconds() - cpu_before;

  Throughput result{match(sent, bench.sink.arrivals(), began_ns)};
  result.concurrency = concurrency;
  result.resident_mb = contestant.process().resident_mb();
  if (result.arrived > 0) result.cpu_ms_per_reaction = cpu * 1e3 / static_cast<double>(result.arrived);
  return result;
}

Idle measure_idle(Bench& bench, Contestant& contestant, int starts) {
  std::vector<double> times;
  for (int i = 0; i < starts; ++i) {
    contestant.stop();
    times.push_back(start_once(bench, contestant));
  }
  std::ranges::sort(times);
  // Memory of a server that was started and then left alone.
  contestant.stop();
  contestant.launch();
  contestant.wait_until_listening();
  std::this_thread::sleep_for(seconds(1));
  return {.resident_mb = contestant.process().resident_mb(), .start_ms = times[times.size() / 2]};
}

Outcome measure_kill(Bench& bench, Contestant& contestant) {
  contestant.stop();
  contestant.launch();
  contestant.wait_until_listening();
  bench.sink.clear();
  auto settings = load_settings(bench, contestant, 64);
  const pid_t pid = contestant.process().pid();
  settings.on_accepted = [pid](std::uint64_t accepted) {
    if (accepted == kKillAfterAccepted) ::kill(pid, SIGKILL);
  };
  harness::Load load(std::move(settings));
  const auto began_ns = load.began_ns();
  if (!wait_until([&] { return !contestant.process().running(); }, seconds(60), milliseconds(1))) {
    throw std::runtime_error("1,000 webhooks were not accepted within 60 s");
  }
  contestant.launch();
  contestant.wait_until_listening();
  std::this_thread::sleep_for(seconds(1));  // the load goes on
  load.stop();
  const auto sent = load.finish();
  // Repetitions count as arrivals, so a look at the count is not enough: until nothing has come for a while.
  wait_for_arrivals(bench.sink, ~std::size_t{0}, seconds(3));
  return match(sent, bench.sink.arrivals(), began_ns);
}

}  // namespace patchbay::bench
