// patchbay-hosts: two hosts on one PostgreSQL: what they do together, and what becomes of the work of one that dies.
// Exit code 0: nothing was lost or made twice; 1: something was; 2: it could not be tried.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "hosts/trials.hpp"

int main(int argc, char** argv) {
  using namespace patchbay::hosts;
  PairSettings settings;
  int events = 3000;
  int rounds = 3;
  double seconds = 5;
  bool json = false;
  CLI::App app("Two patchbay hosts on one PostgreSQL: throughput, and take-over.");
  app.add_option("--events", events, "of one measurement")->capture_default_str();
  app.add_option("--rounds", rounds, "of all of it")->capture_default_str();
  app.add_option("--seconds", seconds, "of load before a host is struck")->capture_default_str();
  app.add_option("--places", settings.places, "reactions that one host has under way at the same time")->capture_default_str();
  app.add_option("--answer-ms", settings.answer_ms, "what the provider takes for each")->capture_default_str();
  app.add_option("--lease", settings.lease_seconds, "after which a host that does not stir is taken for dead, in seconds")->capture_default_str();
  app.add_flag("--json", json, "one JSON object a line");
  CLI11_PARSE(app, argc, argv);
  const auto print = [json](const nlohmann::ordered_json& report) {
    if (json) {
      std::cout << report.dump() << std::endl;
      return;
    }
    for (const auto& [name, value] : report.items()) std::cout << name << ": " << value << '\n';
    std::cout << std::endl;
  };
  try {
    std::size_t wrong = 0;
    std::vector<double> ratios;
    for (int round = 0; round < rounds; ++round) {
      Pair pair(settings);
      const auto speed = measure_throughput(pair, events);
      ratios.push_back(speed.both / speed.one);
      wrong += speed.count.lost + speed.count.doubled;
      print({{"one_per_second", speed.one},
             {"both_per_second", speed.both},
             {"shared_per_second", speed.shared},
             {"ratio", speed.both / speed.one},
             {"shared_ratio", speed.shared / speed.one},
             {"accepted", speed.count.accepted},
             {"lost", speed.count.lost},
             {"doubled", speed.count.doubled},
             {"repeated", speed.count.repeated}});
      for (const auto blow : {Blow::kill, Blow::freeze}) {
        const auto taken = take_over(pair, blow, seconds, settings.lease_seconds);
        wrong += taken.count.lost + taken.count.doubled + (taken.seconds < 0 ? 1 : 0);
        print({{"blow", blow == Blow::kill ? "kill -9" : "SIGSTOP"},
               {"finished_after_s", taken.seconds},
               {"lease_s", settings.lease_seconds},
               {"accepted", taken.count.accepted},
               {"lost", taken.count.lost},
               {"doubled", taken.count.doubled},
               {"repeated", taken.count.repeated}});
      }
    }
    std::ranges::sort(ratios);
    print({{"median_ratio", ratios[ratios.size() / 2]}, {"wrong", wrong}});
    return wrong == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "hosts: " << error.what() << '\n';
    return 2;
  }
}
