#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "harness/payload.hpp"
#include "harness/process.hpp"
#include "isolation/isolation.hpp"
#include "plugin/registry.hpp"

namespace patchbay::isolation_test {
namespace {

namespace fs = std::filesystem;

// The plugin asks for nothing when a webhook comes.
class NoClient : public egress::HttpClient {
 public:
  Handle send(egress::HttpRequest, Done) override { throw std::logic_error("a webhook made a request"); }
  void cancel(Handle) override {}
};

double seconds_of(clockid_t clock) {
  timespec used{};
  if (::clock_gettime(clock, &used) != 0) throw std::runtime_error("the CPU time of a process cannot be read");
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

pid_t only_child() {
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::ifstream stat(entry.path() / "stat");
    std::string pid, name, state;
    pid_t parent = 0;
    if (stat >> pid >> name >> state >> parent && parent == ::getpid()) return std::stoi(pid);
  }
  throw std::runtime_error("the plugin has no process of its own");
}

class Side {
 public:
  Side(Loop& loop, const fs::path& folder, bool isolated) : loop_(loop) {
    fs::create_directories(folder / "plugins");
    fs::copy_file(fs::path(harness::plugin_folder()) / "github.so", folder / "plugins/github.so");
    plugin::RegistrySettings settings;
    settings.folder = folder / "plugins";
    settings.private_folder = folder / "private";
    settings.isolated = [isolated](const std::string&) { return isolated; };
    settings.isolation.program = std::string(PATCHBAY_BUILD_DIRECTORY) + "/bin/patchbay-plugin-process";
    registry_ = std::make_unique<plugin::Registry>(loop, system_clock(), client_, std::move(settings));
    if (const auto loaded = registry_->load(); !loaded) throw std::runtime_error(loaded.error().message);
    provider_ = registry_->provider("github");
    if (provider_ == nullptr) throw std::runtime_error(registry_->list().at(0).failure);
    if (isolated && ::clock_getcpuclockid(only_child(), &process_) != 0) throw std::runtime_error("no CPU clock of the process");
  }
  ~Side() { registry_->shut_down(); }

  // CPU seconds of this process and of the plugin's.
  std::array<double, 2> run(const plugin::Call& call, int count, double pace) {
    using Clock = std::chrono::steady_clock;
    const auto here = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    const auto there = process_ != 0 ? seconds_of(process_) : 0;
    const auto began = Clock::now();
    int ended = 0;
    for (int i = 0; i < count; ++i) {
      const auto due = began + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(i / pace));
      loop_.context().restart();
      loop_.context().run_until(due);
      auto one = call;
      one.deadline = system_clock().now() + std::chrono::seconds{30};
      provider_->begin(std::move(one), [&ended](plugin::Outcome outcome) {
        if (outcome.error || outcome.events.size() != 1) throw std::runtime_error(outcome.error ? outcome.error->message : "no event");
        ++ended;
      });
    }
    if (!loop_.run_until([&] { return ended == count; }, std::chrono::seconds{30})) throw std::runtime_error("tasks did not end");
    return {seconds_of(CLOCK_PROCESS_CPUTIME_ID) - here, process_ != 0 ? seconds_of(process_) - there : 0};
  }

 private:
  Loop& loop_;
  NoClient client_;
  std::unique_ptr<plugin::Registry> registry_;
  plugin::Provider* provider_ = nullptr;
  clockid_t process_ = 0;
};

plugin::Call issues_webhook() {
  auto request = std::make_shared<plugin::WebhookRequest>();
  request->method = "POST";
  request->headers = {{"content-type", "application/json"}, {"x-github-event", "issues"}, {"x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"}};
  request->body = harness::issues_payload({});
  plugin::Call call;
  call.verb = plugin::Verb::webhook;
  call.name = "issues";
  call.params = R"({"owner":"octo-org","repo":"Hello-World","actions":["opened"]})";
  call.key = "0190aaaa-0000-7000-8000-000000000001";
  call.state = R"({"hook":"12345678"})";
  call.watch = WatchId::make(system_clock().now());
  call.connection = ConnectionId::make(system_clock().now());
  call.callback_url = "https://patchbay.example/hooks/0190aaaa00007000";
  call.callback_secret = Secret("a secret of a hook");
  if (auto body = JsonDocument::parse(request->body)) call.body = *std::move(body);
  call.request = std::move(request);
  return call;
}

double median(std::vector<double> all) {
  std::ranges::sort(all);
  return all[all.size() / 2];
}

}  // namespace

Cost measure_cost(const Plan& plan) {
  const harness::ScratchFolder folder("isolation-cost");
  Loop loop;
  Side here(loop, folder.path() / "here", false);
  Side process(loop, folder.path() / "process", true);
  const auto call = issues_webhook();
  constexpr int kTurns = 10;
  const int count = std::max(plan.calls / kTurns, 1);
  (void)here.run(call, count, plan.pace);
  (void)process.run(call, count, plan.pace);
  std::vector<double> alone;
  std::vector<double> both;
  std::vector<double> own;
  for (int turn = 0; turn < kTurns; ++turn) {
    const auto micros_each = [&](double seconds) { return seconds * 1e6 / count; };
    alone.push_back(micros_each(here.run(call, count, plan.pace)[0]));
    const auto used = process.run(call, count, plan.pace);
    both.push_back(micros_each(used[0] + used[1]));
    own.push_back(micros_each(used[1]));
  }
  return {.here_us = median(alone), .process_us = median(both), .own_us = median(own)};
}

}  // namespace patchbay::isolation_test
