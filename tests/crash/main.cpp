// patchbay-crash: kills the host at random moments under load and counts what is missing or doubled afterwards.
// Exit code 0: nothing; 1: something was lost or doubled; 2: it could not be tried.
#include <CLI/CLI.hpp>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "crash/kill_loop.hpp"

int main(int argc, char** argv) {
  patchbay::crash::Plan plan;
  bool json = false;
  CLI::App app("Kills patchbay with -9 under load, again and again, and counts lost and doubled messages.");
  app.add_option("--rounds", plan.rounds, "kills")->check(CLI::PositiveNumber)->capture_default_str();
  auto* database = app.add_option("--database", plan.database, "URL of the database; default: a new SQLite file");
  app.add_flag("--postgresql", plan.postgresql, "on a PostgreSQL server of our own")->excludes(database);
  const std::map<std::string, patchbay::crash::Strike> strikes{{"host", patchbay::crash::Strike::host},
                                                               {"server", patchbay::crash::Strike::server},
                                                               {"connections", patchbay::crash::Strike::connections},
                                                               {"any", patchbay::crash::Strike::any}};
  app.add_option("--strike", plan.strike, "what is hit: host, server, connections (both with --postgresql), any")
      ->transform(CLI::CheckedTransformer(strikes));
  app.add_option("--seed", plan.seed, "of the random moments")->capture_default_str();
  app.add_option("--concurrency", plan.concurrency, "connections of the load")->capture_default_str();
  app.add_flag("--fresh", plan.fresh, "a new database for each round")->excludes(database);
  app.add_flag("--json", json, "one JSON object");
  CLI11_PARSE(app, argc, argv);
  if (plan.strike != patchbay::crash::Strike::host && !plan.postgresql) {
    std::cerr << "crash: only a PostgreSQL server can be hit: add --postgresql\n";
    return 2;
  }
  try {
    const auto verdict =
        patchbay::crash::run(plan, [](const std::string& line) { std::cerr << "crash: " << line << '\n'; });
    const nlohmann::ordered_json report{{"rounds", plan.rounds},
                                        {"seed", plan.seed},
                                        {"accepted", verdict.accepted},
                                        {"messages", verdict.messages},
                                        {"completed", verdict.completed},
                                        {"lost", verdict.lost},
                                        {"doubled", verdict.doubled},
                                        {"parked", verdict.parked},
                                        {"longest_restart_ms", static_cast<int>(verdict.longest_restart_ms)}};
    if (json) {
      std::cout << report.dump() << '\n';
    } else {
      for (const auto& [name, value] : report.items()) std::cout << name << ": " << value << '\n';
    }
    for (const auto& example : verdict.examples) std::cerr << "crash: " << example << '\n';
    if (!verdict.kept.empty()) std::cerr << "crash: database and log are kept in " << verdict.kept << '\n';
    return verdict.lost + verdict.doubled == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "crash: " << error.what() << '\n';
    return 2;
  }
}
