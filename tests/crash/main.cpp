// patchbay-crash: kills the host at random moments under load and counts what is missing or doubled afterwards.
// Exit code 0: nothing; 1: something was lost or doubled; 2: it could not be tried.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "crash/kill_loop.hpp"

namespace {

using patchbay::crash::Plan;
using patchbay::crash::Strike;

// All of it, on both databases, in one table.
int print_certificate(const Plan& wanted, const std::function<void(const std::string&)>& progress) {
  struct Leg {
    const char* name;
    bool postgresql;
    Strike strike;
    double chaos;
  };
  const Leg legs[]{{"SQLite, host", false, Strike::host, 0},
                   {"SQLite, host; provider in disorder", false, Strike::host, 0.2},
                   {"PostgreSQL, host", true, Strike::host, 0},
                   {"PostgreSQL, host or server or connections; provider in disorder", true, Strike::any, 0.2}};
  std::printf("seed %llu\n%-64s %7s %9s %9s %5s %8s %7s %7s\n", static_cast<unsigned long long>(wanted.seed), "what is struck", "strikes",
              "accepted", "completed", "lost", "doubled", "failed", "parked");
  std::size_t wrong = 0;
  for (const auto& leg : legs) {
    Plan plan = wanted;
    plan.postgresql = leg.postgresql;
    plan.strike = leg.strike;
    plan.chaos = leg.chaos;
    plan.park = leg.chaos > 0;
    const auto verdict = patchbay::crash::run(plan, progress);
    const auto lost = verdict.lost + verdict.once_lost;
    const auto doubled = verdict.doubled + verdict.once_doubled;
    wrong += lost + doubled + verdict.failed;
    std::printf("%-64s %7d %9zu %9zu %5zu %8zu %7zu %7zu\n", leg.name, plan.rounds, verdict.accepted, verdict.completed, lost, doubled,
                verdict.failed, verdict.parked);
    std::fflush(stdout);
    for (const auto& example : verdict.examples) progress(example);
  }
  return wrong == 0 ? 0 : 1;
}

}  // namespace

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
  app.add_option("--chaos", plan.chaos, "part of the provider's answers that goes wrong")->check(CLI::Range(0.0, 1.0));
  app.add_flag("--park", plan.park, "also a reaction without idempotency, which is parked where nobody knows");
  bool certificate = false;
  app.add_flag("--certificate", certificate, "both databases, with and without a provider in disorder: one table")->excludes(database);
  app.add_flag("--json", json, "one JSON object");
  CLI11_PARSE(app, argc, argv);
  if (plan.strike != patchbay::crash::Strike::host && !plan.postgresql) {
    std::cerr << "crash: only a PostgreSQL server can be hit: add --postgresql\n";
    return 2;
  }
  const auto progress = [](const std::string& line) { std::cerr << "crash: " << line << '\n'; };
  try {
    if (certificate) return print_certificate(plan, progress);
    const auto verdict = patchbay::crash::run(plan, progress);
    const nlohmann::ordered_json report{{"rounds", plan.rounds},
                                        {"seed", plan.seed},
                                        {"accepted", verdict.accepted},
                                        {"messages", verdict.messages},
                                        {"completed", verdict.completed},
                                        {"lost", verdict.lost},
                                        {"doubled", verdict.doubled},
                                        {"failed", verdict.failed},
                                        {"parked", verdict.parked},
                                        {"once_lost", verdict.once_lost},
                                        {"once_doubled", verdict.once_doubled},
                                        {"longest_restart_ms", static_cast<int>(verdict.longest_restart_ms)}};
    if (json) {
      std::cout << report.dump() << '\n';
    } else {
      for (const auto& [name, value] : report.items()) std::cout << name << ": " << value << '\n';
    }
    for (const auto& example : verdict.examples) std::cerr << "crash: " << example << '\n';
    if (!verdict.kept.empty()) std::cerr << "crash: database and log are kept in " << verdict.kept << '\n';
    return verdict.lost + verdict.doubled + verdict.once_lost + verdict.once_doubled + verdict.failed == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "crash: " << error.what() << '\n';
    return 2;
  }
}
