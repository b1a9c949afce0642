// patchbay-isolation: what it costs to run a plugin in a process of its own, and what its crashes cost the others.
// Exit code 0: nothing lost or doubled; 1: something was; 2: it could not be tried.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "isolation/isolation.hpp"

int main(int argc, char** argv) {
  patchbay::isolation_test::Plan plan;
  bool json = false;
  CLI::App app("Measures plugins in processes of their own: the cost of a call, and what crashes do to the others.");
  app.add_option("--calls", plan.calls, "of webhooks for the cost")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--pace", plan.pace, "of these a second")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--seconds", plan.seconds, "of load a round, each with and without crashes")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--rate", plan.rate, "webhooks a second of that load")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--crashes", plan.crashes, "a second")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--rounds", plan.rounds)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_flag("--json", json, "one JSON object");
  CLI11_PARSE(app, argc, argv);
  try {
    const auto cost = patchbay::isolation_test::measure_cost(plan);
    const auto storm = patchbay::isolation_test::run_storm(plan);
    std::vector<double> ratios;
    for (std::size_t i = 0; i < storm.quiet_p99_ms.size(); ++i) ratios.push_back(storm.storm_p99_ms[i] / storm.quiet_p99_ms[i]);
    std::ranges::sort(ratios);
    const nlohmann::ordered_json report{{"here_us", cost.here_us},
                                        {"process_us", cost.process_us},
                                        {"of_these_in_the_process_us", cost.own_us},
                                        {"cost_us", cost.process_us - cost.here_us},
                                        {"crashes", storm.crashes},
                                        {"accepted", storm.accepted},
                                        {"refused", storm.refused},
                                        {"lost", storm.lost},
                                        {"doubled", storm.doubled},
                                        {"quiet_p99_ms", storm.quiet_p99_ms},
                                        {"storm_p99_ms", storm.storm_p99_ms},
                                        {"median_ratio", ratios[ratios.size() / 2]}};
    if (json) {
      std::cout << report.dump() << '\n';
    } else {
      for (const auto& [name, value] : report.items()) std::cout << name << ": " << value << '\n';
    }
    for (const auto& example : storm.examples) std::cerr << "isolation: " << example << '\n';
    if (!storm.kept.empty()) std::cerr << "isolation: database and log are kept in " << storm.kept << '\n';
    return storm.lost + storm.doubled + storm.refused + storm.parked + storm.failed == 0 && storm.crashes > 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "isolation: " << error.what() << '\n';
    return 2;
  }
}
