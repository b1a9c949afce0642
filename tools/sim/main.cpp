// patchbay-sim: simulators of providers on loopback, for development and tests. Prints their addresses as one line of
// JSON once they listen; ends on SIGTERM and SIGINT.
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>

#include "discord/simulator/discord_simulator.hpp"
#include "github/simulator/github_simulator.hpp"
#include "http/simulator/sink_simulator.hpp"

namespace {

using namespace patchbay;

struct Options {
  std::uint16_t github_port = 0;
  std::uint16_t discord_port = 0;
  std::optional<std::uint16_t> sink_port;
  std::vector<std::string> github_tokens{"ghp_simulated"};
  std::vector<std::string> discord_tokens{"simulated.bot.token"};
  int github_rate_limit = 5000;
  int discord_bucket_limit = 0;
  std::string record_file;
  bool print_json = false;
  bool with_parent = false;
};

void add_options(CLI::App& app, Options& options) {
  app.add_option("--github-port", options.github_port, "0: the system chooses");
  app.add_option("--discord-port", options.discord_port, "0: the system chooses");
  app.add_option("--sink-port", options.sink_port, "also a web service that takes everything");
  app.add_option("--github-token", options.github_tokens, "accepted at GitHub");
  app.add_option("--discord-token", options.discord_tokens, "accepted at Discord");
  app.add_option("--github-rate-limit", options.github_rate_limit, "requests an hour; 0: no limit");
  app.add_option("--discord-bucket-limit", options.discord_bucket_limit, "messages a channel in 5 s; 0: no limit");
  app.add_option("--record", options.record_file, "add each exchange to this file as a line of JSON");
  app.add_flag("--print-json", options.print_json, "print the addresses as JSON");
  app.add_flag("--with-parent", options.with_parent, "end when the parent process ends");
}

int serve(const Options& options, const sigset_t& signals) {
  simulators::GithubSimulator github({.common = {options.github_port, options.record_file},
                                      .tokens = options.github_tokens,
                                      .rate_limit = options.github_rate_limit});
  simulators::DiscordSimulator discord({.common = {options.discord_port, options.record_file},
                                        .tokens = options.discord_tokens,
                                        .bucket_limit = options.discord_bucket_limit});
  std::optional<simulators::SinkSimulator> sink;
  nlohmann::json urls{{"github", github.base_url()}, {"discord", discord.base_url()}};
  if (options.sink_port) {
    sink.emplace(simulators::Simulator::Settings{*options.sink_port, {}});
    urls["sink"] = sink->base_url();
  }
  if (options.print_json) {
    std::puts(urls.dump().c_str());
  } else {
    for (const auto& [name, url] : urls.items()) std::printf("%-8s %s\n", name.c_str(), url.get<std::string>().c_str());
  }
  std::fflush(stdout);
  int received = 0;
  sigwait(&signals, &received);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Simulators of providers on loopback, for development and tests");
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);

  // Blocked before any thread begins, so that all inherit it and only sigwait() sees them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  if (options.with_parent) {
    const pid_t parent = getppid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) return 0;  // it ended in between
  }
  try {
    return serve(options, signals);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "patchbay-sim: %s\n", error.what());
    return 1;
  }
}
