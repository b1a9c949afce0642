// webhooks_rig NODE SCRIPT: starts a host with one flow on issues and one on push, and lets the script send to their
// hooks. The script's exit code.
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "harness/host.hpp"
#include "harness/process.hpp"
#include "harness/scratch.hpp"
#include "harness/simulators.hpp"

namespace {

using namespace patchbay::harness;

nlohmann::json flow_on(const std::string& event) {
  return {{"name", event},
          {"nodes",
           {{{"id", "hook"},
             {"trigger", "github." + event},
             {"connection", "github"},
             {"params", {{"owner", "octo-org"}, {"repo", "Hello-World"}}}},
            {{"id", "tell"},
             {"reaction", "discord.send_channel_message"},
             {"connection", "discord"},
             {"after", {"hook"}},
             {"params",
              {{"channel_id", "1100000000000000001"}, {"content", event + " in {{ hook.repository.full_name }}"}}}}}}};
}

int run_script(const std::string& node, const std::string& script) {
  ScratchFolder folder("npm");
  Simulators simulators;
  Host host({.folder = folder.path(), .github = simulators.github(), .discord = simulators.discord()});
  host.start();
  Api api(host);
  api.sign_up();
  api.connect("github", "github", kGithubToken);
  api.connect("discord", "discord", kDiscordToken);
  nlohmann::json hooks;
  for (const std::string event : {"issues", "push"}) {
    const auto flow = api.create_flow(flow_on(event));
    api.activate(flow);
    for (const auto& hook : simulators.hooks()) {
      if (hook.events != std::vector{event}) continue;
      hooks.push_back({{"event", event}, {"url", hook.url}, {"secret", hook.secret}, {"flow", flow}});
    }
  }
  const auto finished =
      run({.program = node,
           .arguments = {script},
           .environment = {"HOOKS=" + hooks.dump(), "API=" + host.url("/api/v1"), "TOKEN=" + api.token()},
           .log_file = folder.path() / "script.log"},
          std::chrono::seconds(240));
  std::cout << finished.output << read_file(folder.path() / "script.log");
  if (finished.exit_code != 0) std::cout << "the host's log:\n" << host.log();
  return finished.exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    return run_script(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::cerr << "webhooks_rig: " << error.what() << '\n';
    return 1;
  }
}
