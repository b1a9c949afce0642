// patchbay-reload: replaces plugins under load and counts what is missing, doubled or left behind afterwards.
// Exit code 0: nothing; 1: something was lost, doubled, refused or not reloaded; 2: it could not be tried.
#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "reload/reload_loop.hpp"

int main(int argc, char** argv) {
  patchbay::reload::Plan plan;
  bool json = false;
  CLI::App app("Replaces the github and discord plugins of a host under load, and counts lost and doubled messages.");
  app.add_option("--seconds", plan.seconds, "of the load")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--rate", plan.rate, "webhooks a second")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--every", plan.every, "seconds between replacements")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--many", plan.many, "reloads without load, after that")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_flag("--unload", plan.unload, "with plugins.unload");
  app.add_flag("!--no-comparison", plan.compare, "without the same load without reloads");
  app.add_flag("--json", json, "one JSON object");
  CLI11_PARSE(app, argc, argv);
  try {
    const auto verdict =
        patchbay::reload::run(plan, [](const std::string& line) { std::cerr << "reload: " << line << '\n'; });
    const nlohmann::ordered_json report{{"replacements", verdict.replacements},
                                        {"reloads", verdict.reloads},
                                        {"accepted", verdict.accepted},
                                        {"refused", verdict.refused},
                                        {"messages", verdict.messages},
                                        {"lost", verdict.lost},
                                        {"doubled", verdict.doubled},
                                        {"failed", verdict.failed},
                                        {"parked", verdict.parked},
                                        {"quiet_p99_ms", verdict.quiet_p99_ms},
                                        {"reloading_p99_ms", verdict.reloading_p99_ms},
                                        {"many", plan.many},
                                        {"kb_per_reload", verdict.kb_per_reload},
                                        {"threads_after_ten", verdict.after_ten.threads},
                                        {"threads_after_many", verdict.after_many.threads},
                                        {"descriptors_after_ten", verdict.after_ten.descriptors},
                                        {"descriptors_after_many", verdict.after_many.descriptors},
                                        {"tasks", verdict.tasks},
                                        {"draining", verdict.draining}};
    if (json) {
      std::cout << report.dump() << '\n';
    } else {
      for (const auto& [name, value] : report.items()) std::cout << name << ": " << value << '\n';
    }
    for (const auto& example : verdict.examples) std::cerr << "reload: " << example << '\n';
    if (!verdict.kept.empty()) std::cerr << "reload: database and log are kept in " << verdict.kept << '\n';
    const bool good = verdict.lost + verdict.doubled + verdict.failed + verdict.parked + verdict.refused == 0 &&
                      verdict.reloads == verdict.replacements && verdict.tasks + verdict.draining == 0 &&
                      verdict.after_many.threads == verdict.after_ten.threads &&
                      verdict.after_many.descriptors <= verdict.after_ten.descriptors;
    return good ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "reload: " << error.what() << '\n';
    return 2;
  }
}
