#include "reload/reload_loop.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>

#include "harness/clock.hpp"

namespace patchbay::reload {
namespace {

namespace fs = std::filesystem;
using harness::steady_ns;

constexpr std::array<const char*, 2> kProviders{"github", "discord"};

// A plugin folder of our own, to replace files in.
class Plugins {
 public:
  Plugins() {
    fs::create_directories(folder());
    fs::create_directories(scratch_.path() / "next");
    for (const auto& entry : fs::directory_iterator(PATCHBAY_PLUGIN_FOLDER)) {
      if (entry.path().extension() == ".so") fs::copy_file(entry.path(), folder() / entry.path().filename());
    }
  }
  [[nodiscard]] fs::path folder() const { return scratch_.path() / "plugins"; }

  // Puts the other build in the place of the present one, at once.
  void replace(const std::string& provider) {
    bool& next = is_next_[provider];
    next = !next;
    const fs::path from = fs::path(next ? PATCHBAY_NEXT_PLUGINS : PATCHBAY_PLUGIN_FOLDER) / (provider + ".so");
    const auto part = scratch_.path() / "next" / (provider + ".so");
    fs::copy_file(from, part, fs::copy_options::overwrite_existing);
    fs::rename(part, folder() / (provider + ".so"));
  }

 private:
  harness::ScratchFolder scratch_{"reload-plugins"};
  std::map<std::string, bool> is_next_;
};

Footprint footprint_of(harness::Host& host) {
  const auto process = fs::path("/proc") / std::to_string(host.process().pid());
  const auto count = [&](const char* what) {
    return static_cast<int>(std::distance(fs::directory_iterator(process / what), fs::directory_iterator()));
  };
  return {.resident_kb = host.process().resident_mb() * 1024, .threads = count("task"), .descriptors = count("fd")};
}

class Loop {
 public:
  Loop(const Plan& plan, const std::function<void(const std::string&)>& progress)
      : plan_(plan), progress_(progress), rig_("reload", {}, plugins_.folder()) {}

  Verdict run() {
    (void)load(2, false);  // warm
    if (plan_.compare) {
      progress_("load without reloads");
      verdict_.quiet_p99_ms = harness::p99_ms(load(plan_.seconds, false));
    }
    progress_("load with reloads");
    const auto before = count_reloads();
    verdict_.reloading_p99_ms = harness::p99_ms(load(plan_.seconds, true));
    std::this_thread::sleep_for(std::chrono::seconds(1));  // the last files settle
    verdict_.reloads = count_reloads() - before;
    reload_many();
    rig_.judge(verdict_);
    const auto plugins = rig_.api().get("/plugins");
    for (const auto& plugin : plugins.at("data")) {
      verdict_.tasks += plugin.value("tasks", 0);
      verdict_.draining += plugin.value("draining", 0);
    }
    return verdict_;
  }

 private:
  std::vector<harness::Sent> load(double seconds, bool reloads) {
    auto settings = rig_.load_settings();
    settings.concurrency = 64;
    settings.rate = plan_.rate;
    settings.seconds = seconds;
    harness::Load load(std::move(settings));
    const auto began = std::chrono::steady_clock::now();
    const int times = reloads ? static_cast<int>(seconds / plan_.every) : 0;
    for (int i = 0; i < times; ++i) {
      std::this_thread::sleep_until(began + std::chrono::duration<double>((i + 0.5) * plan_.every));
      for (const auto* provider : kProviders) plugins_.replace(provider);
      verdict_.replacements += static_cast<int>(kProviders.size());
    }
    auto sent = load.finish();
    if (!rig_.host().running()) throw std::runtime_error("the host ended by itself:\n" + rig_.host().log());
    rig_.add(sent);
    verdict_.refused +=
        static_cast<std::size_t>(std::ranges::count_if(sent, [](const auto& one) { return !one.accepted(); }));
    return sent;
  }

  // From the host's own figures.
  int count_reloads() {
    harness::Http http;
    const auto text = http.send("GET", rig_.host().url("/metrics")).body;
    const std::string name = "patchbay_plugin_reloads_total{status=\"ok\"} ";
    const auto at = text.find(name);
    return at == std::string::npos ? 0 : std::atoi(text.c_str() + at + name.size());
  }

  void reload_many() {
    progress_(std::to_string(plan_.many) + " reloads without load");
    for (int i = 1; i <= plan_.many; ++i) {
      const auto reply = rig_.api().call("POST", "/plugins/github/reload");
      if (reply.status != 200) throw std::runtime_error("reload " + std::to_string(i) + ": " + reply.body);
      if (i == std::min(10, plan_.many)) verdict_.after_ten = footprint_of(rig_.host());
    }
    verdict_.after_many = footprint_of(rig_.host());
    const double grown = verdict_.after_many.resident_kb - verdict_.after_ten.resident_kb;
    if (plan_.many > 10) verdict_.kb_per_reload = grown / (plan_.many - 10);
  }

  const Plan& plan_;
  const std::function<void(const std::string&)>& progress_;
  Plugins plugins_;
  harness::MessageRig rig_;
  Verdict verdict_;
};

}  // namespace

Verdict run(const Plan& plan, const std::function<void(const std::string&)>& progress) {
  ::setenv("PATCHBAY_PLUGINS_UNLOAD", plan.unload ? "true" : "false", 1);
  return Loop(plan, progress).run();
}

}  // namespace patchbay::reload
