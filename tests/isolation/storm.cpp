#include <atomic>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "harness/clock.hpp"
#include "isolation/isolation.hpp"

namespace patchbay::isolation_test {
namespace {

namespace fs = std::filesystem;

fs::path plugins_with_fragile(const fs::path& folder) {
  fs::create_directories(folder);
  for (const auto* name : {"github", "discord"}) {
    const auto file = std::string(name) + ".so";
    fs::copy_file(fs::path(harness::plugin_folder()) / file, folder / file);
  }
  fs::copy_file(fs::path(PATCHBAY_BUILD_DIRECTORY) / "test-plugins/fragile/fragile.so", folder / "fragile.so");
  return folder;
}

// Crashes the plugin's process at an even rate, with a webhook that is fine between two that are not: it is not to end in
// quarantine.
class Crashes {
 public:
  Crashes(std::string url, double rate) : thread_([this, url = std::move(url), rate] { run(url, rate); }) {}
  ~Crashes() {
    stop_ = true;
    thread_.join();
  }

 private:
  void run(const std::string& url, double rate) {
    harness::Http http;
    auto next = std::chrono::steady_clock::now();
    for (int i = 0; !stop_; ++i) {
      next += std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(0.5 / rate));
      std::this_thread::sleep_until(next);
      const nlohmann::json body{{"key", std::to_string(harness::steady_ns())}, {"webhook", i % 2 == 0 ? "fine" : "crash"}, {"reaction", "fine"}};
      (void)http.send("POST", url, {{"Content-Type", "application/json"}}, body.dump());
    }
  }
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

std::size_t count_of(const std::string& text, const std::string& words) {
  std::size_t count = 0;
  for (auto at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) ++count;
  return count;
}

}  // namespace

Storm run_storm(const Plan& plan) {
  const harness::ScratchFolder folder("isolation-storm");
  harness::MessageRig rig("isolation", {}, plugins_with_fragile(folder.path() / "plugins"));
  const auto hook = rig.host().url(harness::activate_fragile(rig.host(), rig.api()));
  Storm storm;
  const auto load = [&](double seconds) {
    auto settings = rig.load_settings();
    settings.concurrency = 16;
    settings.rate = plan.rate;
    settings.seconds = seconds;
    auto sent = harness::Load(std::move(settings)).finish();
    rig.add(sent);
    for (const auto& one : sent) storm.refused += one.accepted() ? 0 : 1;
    return harness::p99_ms(sent);
  };
  (void)load(2);  // warm
  for (int round = 0; round < plan.rounds; ++round) {
    storm.quiet_p99_ms.push_back(load(plan.seconds));
    const Crashes crashes(hook, plan.crashes);
    storm.storm_p99_ms.push_back(load(plan.seconds));
  }
  storm.crashes = count_of(rig.host().log(), "its process is gone");
  rig.judge(storm);
  return storm;
}

}  // namespace patchbay::isolation_test
