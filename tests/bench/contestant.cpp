#include "bench/contestant.hpp"

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "harness/clock.hpp"

namespace patchbay::bench {
namespace {

nlohmann::json workload_flow(const std::string& sink_url) {
  const std::string text =
      "[{{ hook.repository.full_name }}] {{ hook.sender.login }} opened issue #{{ hook.issue.number }}: "
      "{{ hook.issue.title }} {{ hook.issue.html_url }} ({{ hook.bench_id }})";
  return {{"name", "Workload 1"},
          {"nodes",
           {{{"id", "hook"},
             {"trigger", "github.issues"},
             {"connection", "github"},
             {"params", {{"owner", "octo-org"}, {"repo", "Hello-World"}}}},
            {{"id", "opened"}, {"if", "{{ hook.action = 'opened' }}"}, {"after", {"hook"}}},
            {{"id", "post"},
             {"reaction", "http.request"},
             {"after", {"opened:true"}},
             {"params", {{"method", "POST"}, {"url", sink_url}, {"body", {{"text", text}}}}}}}}};
}

nlohmann::json sleeping_flow(const std::string& sink_url, int number) {
  return {{"name", "Sleeping flow " + std::to_string(number)},
          {"nodes",
           {{{"id", "tick"}, {"trigger", "timer.at"}, {"params", {{"time", "2099-01-01T00:00:00Z"}}}},
            {{"id", "post"},
             {"reaction", "http.request"},
             {"after", {"tick"}},
             {"params", {{"method", "POST"}, {"url", sink_url}, {"body", {{"text", "{{ tick.time }}"}}}}}}}}};
}

std::optional<std::string> find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const auto file = std::filesystem::path(folder) / name;
    if (std::error_code error; std::filesystem::is_regular_file(file, error)) return file.string();
  }
  return std::nullopt;
}

}  // namespace

void Contestant::wait_until_listening() {
  harness::Http http;
  const std::string url = "http://127.0.0.1:" + std::to_string(target().port) + "/";
  const bool listening = harness::wait_until(
      [&] { return http.send("GET", url, {}, {}, std::chrono::seconds(2)).status != 0; }, std::chrono::seconds(60));
  if (!listening) throw std::runtime_error("nothing answers at " + url);
}

PatchbayContestant::PatchbayContestant(const harness::Sink& sink, const std::string& database)
    : simulators_(folder_.path() / "simulators.log"),
      host_({.folder = folder_.path(), .database = database, .github = simulators_.github(), .discord = simulators_.discord()}),
      api_(host_),
      sink_url_(sink.url()) {
  host_.start();
  api_.sign_up();
  api_.connect("github", "github", harness::kGithubToken);
  api_.activate(api_.create_flow(workload_flow(sink_url_)));
  target_ = harness::hook_target(host_, simulators_);
}

void PatchbayContestant::add_sleeping_flows(int count) {
  for (int i = 0; i < count; ++i) api_.activate(api_.create_flow(sleeping_flow(sink_url_, i)));
}

std::unique_ptr<NodeContestant> NodeContestant::create(const harness::Sink& sink) {
  const auto node = find_program("node");
  if (!node) return nullptr;
  return std::unique_ptr<NodeContestant>(new NodeContestant(*node, sink));
}

NodeContestant::NodeContestant(std::string node, const harness::Sink& sink)
    : node_(std::move(node)),
      sink_url_(sink.url()),
      target_{.port = harness::free_port(), .path = "/hooks/reference", .secret = "reference secret"} {
  launch();
}

void NodeContestant::launch() {
  process_.emplace(harness::Command{.program = node_,
                                    .arguments = {std::string(PATCHBAY_BENCH_FOLDER) + "/reference.js"},
                                    .environment = {"PORT=" + std::to_string(target_.port),
                                                    "GITHUB_SECRET=" + target_.secret, "SINK_URL=" + sink_url_}});
}

}  // namespace patchbay::bench
