// patchbay-scale: much of something: runs under a size limit, runs that wait, flows. README.md says how it is measured.
// Exit code 0: within the limits; 1: something was not; 2: it could not be tried.
#include <CLI/CLI.hpp>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>

#include "scale/trials.hpp"

int main(int argc, char** argv) {
  using namespace patchbay::scale;
  RetentionPlan retention;
  WaitingPlan waiting;
  FlowsPlan flows;
  bool json = false;
  CLI::App app("What Patchbay does with much of something.");
  app.require_subcommand(1);
  app.fallthrough();
  app.add_flag("--json", json, "one JSON object");
  std::function<nlohmann::ordered_json()> trial;
  auto* kept = app.add_subcommand("retention", "Many runs under a limit of the database's size");
  kept->add_option("--runs", retention.runs)->capture_default_str();
  kept->add_option("--payload-bytes", retention.payload_bytes)->capture_default_str();
  kept->add_option("--cap-mb", retention.cap_mb)->capture_default_str();
  kept->add_option("--rate", retention.rate, "webhooks a second")->capture_default_str();
  kept->add_flag("!--no-comparison", retention.comparison, "do not judge response times");
  kept->callback([&] { trial = [&] { return try_retention(retention); }; });
  auto* wait = app.add_subcommand("waiting", "Many runs that wait for their next attempt");
  wait->add_option("--runs", waiting.runs)->capture_default_str();
  wait->add_option("--most-mb", waiting.most_mb, "of resident memory")->capture_default_str();
  wait->callback([&] { trial = [&] { return try_waiting(waiting); }; });
  auto* many = app.add_subcommand("flows", "Many active flows");
  many->add_option("--flows", flows.flows)->capture_default_str();
  many->add_option("--rate", flows.rate, "webhooks a second")->capture_default_str();
  many->add_option("--seconds", flows.seconds, "of each measurement")->capture_default_str();
  many->add_flag("!--no-comparison", flows.comparison, "do not judge times");
  many->callback([&] { trial = [&] { return try_flows(flows); }; });
  CLI11_PARSE(app, argc, argv);
  try {
    const auto report = trial();
    if (json) std::cout << report.dump() << '\n';
    else {
      for (const auto& [name, value] : report.items()) std::cout << name << ": " << value << '\n';
    }
    return report.at("wrong") == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "scale: " << error.what() << '\n';
    return 2;
  }
}
