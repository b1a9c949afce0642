// patchbay-bench: the workloads of README.md against the release binary, with reference.js beside it.
#include <sys/utsname.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "bench/contestant.hpp"
#include "bench/results.hpp"
#include "bench/workloads.hpp"
#include "harness/payload.hpp"
#include "harness/scratch.hpp"
#include "support/postgresql_server.hpp"

namespace patchbay::bench {
namespace {

struct Options {
  bool json = false;
  bool quick = false;
  bool reference = true;
  bool postgresql = false;
  double seconds = 8;
  int repeats = 3;  // at the highest concurrency; the one with the median CPU time counts
  int starts = 5;
  int sleeping_flows = 1000;
  int kills = 3;
  std::string payload;  // a file; empty: made by harness/payload
  std::vector<int> concurrencies{1, 16, 64};
};

struct Runner {
  Contestant& contestant;
  Results results;
};

void say(const std::string& what) { std::cerr << "bench: " << what << '\n'; }

Throughput median_of(std::vector<Throughput> repeats) {
  std::ranges::sort(repeats, {}, &Throughput::cpu_ms_per_reaction);
  Throughput median = repeats[repeats.size() / 2];
  median.lost = median.doubled = 0;
  for (const auto& repeat : repeats) {  // a loss in any of them is a loss
    median.lost += repeat.lost;
    median.doubled += repeat.doubled;
  }
  return median;
}

// Contestants take turns within each step, so that what else happens on the machine hits them alike.
void run_throughput(Bench& bench, std::vector<Runner>& runners, const Options& options) {
  for (const int concurrency : options.concurrencies) {
    const int repeats = concurrency == options.concurrencies.back() ? options.repeats : 1;
    std::vector<std::vector<Throughput>> measured(runners.size());
    for (int repeat = 0; repeat < repeats; ++repeat) {
      for (std::size_t i = 0; i < runners.size(); ++i) {
        measured[i].push_back(measure_throughput(bench, runners[i].contestant, concurrency, options.seconds));
      }
    }
    for (std::size_t i = 0; i < runners.size(); ++i) runners[i].results.w1.push_back(median_of(std::move(measured[i])));
  }
}

std::string payload_of(const Options& options) {
  std::string body = options.payload.empty() ? harness::issues_payload({}) : harness::read_file(options.payload);
  if (body.find(harness::bench_id(0)) == std::string::npos) {
    throw std::runtime_error("the payload holds no \"" + harness::bench_id(0) + "\"");
  }
  return body;
}

nlohmann::ordered_json about_machine() {
  utsname name{};
  ::uname(&name);
  return {{"cpus", std::thread::hardware_concurrency()}, {"kernel", name.release}};
}

int run(const Options& options) {
  harness::Sink sink;
  Bench bench{.sink = sink, .body = payload_of(options)};
  say("starting patchbay and its simulators");
  std::optional<support::PostgresqlServer> server;
  if (options.postgresql) server.emplace();
  PatchbayContestant patchbay(sink, server ? server->make_database() : "");
  std::unique_ptr<NodeContestant> node = options.reference ? NodeContestant::create(sink) : nullptr;
  if (!node) say("the reference does not run: there is no node in the path, or it was not wanted");
  std::vector<Runner> runners{{.contestant = patchbay, .results = {}}};
  if (node) {
    node->wait_until_listening();
    runners.push_back({.contestant = *node, .results = {}});
  }

  say("W2, memory and start");
  for (auto& runner : runners) runner.results.idle = measure_idle(bench, runner.contestant, options.starts);
  say("W1, throughput");
  run_throughput(bench, runners, options);
  say("W3, kill -9");
  for (int kill = 0; kill < options.kills; ++kill) {
    for (auto& runner : runners) runner.results.w3.push_back(measure_kill(bench, runner.contestant));
  }
  if (options.sleeping_flows > 0) {
    say("W2 with " + std::to_string(options.sleeping_flows) + " sleeping flows");
    patchbay.add_sleeping_flows(options.sleeping_flows);
    runners[0].results.idle_loaded = measure_idle(bench, patchbay, options.starts);
    runners[0].results.sleeping_flows = options.sleeping_flows;
  }

  const Results* reference = node ? &runners[1].results : nullptr;
  if (options.json) {
    auto report = to_json(runners[0].results);
    report["payload_bytes"] = bench.body.size();
    report["machine"] = about_machine();
    report["reference"] = reference == nullptr ? nlohmann::ordered_json() : to_json(*reference);
    std::cout << report.dump(2) << '\n';
  } else {
    std::cout << to_table(runners[0].results, reference);
  }
  return 0;
}

int main_of(int argc, char** argv) {
  Options options;
  CLI::App app("Measures Patchbay: W1 throughput and CPU, W2 memory and start, W3 kill -9.");
  app.require_subcommand(1);
  auto* command = app.add_subcommand("run", "runs all workloads and prints a table");
  command->add_flag("--json", options.json, "one JSON object instead of the table");
  auto* quick = command->add_flag("--quick", options.quick, "shorter: for a look, not for comparison");
  command->add_flag("!--no-reference", options.reference, "without reference.js");
  command->add_flag("--postgresql", options.postgresql, "on a PostgreSQL server of our own, whose CPU time does not count");
  command->add_option("--seconds", options.seconds, "of each throughput measurement")->excludes(quick);
  command->add_option("--repeats", options.repeats, "at the highest concurrency")->excludes(quick);
  command->add_option("--kills", options.kills, "rounds of W3")->excludes(quick);
  command->add_option("--sleeping-flows", options.sleeping_flows, "of W2")->excludes(quick);
  command->add_option("--concurrency", options.concurrencies, "of W1; the last counts")->delimiter(',');
  command->add_option("--payload", options.payload, "file with a webhook body that holds BID000000000000");
  CLI11_PARSE(app, argc, argv);
  if (options.quick) {
    options.seconds = 2;
    options.repeats = options.kills = 1;
    options.starts = 3;
    options.sleeping_flows = 100;
  }
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::cerr << "bench: " << error.what() << '\n';
    return 1;
  }
}

}  // namespace
}  // namespace patchbay::bench

int main(int argc, char** argv) { return patchbay::bench::main_of(argc, argv); }
