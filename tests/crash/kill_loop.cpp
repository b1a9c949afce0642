#include "crash/kill_loop.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <stdexcept>
#include <thread>

#include "harness/clock.hpp"
#include "harness/host.hpp"
#include "harness/load.hpp"
#include "harness/payload.hpp"
#include "harness/scratch.hpp"
#include "harness/simulators.hpp"

namespace patchbay::crash {
namespace {

using harness::steady_ns;
using harness::wait_until;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kChannel = "1100000000000000001";

nlohmann::json message_flow() {
  return {{"name", "Crash"},
          {"nodes",
           {{{"id", "opened"},
             {"trigger", "github.issues"},
             {"connection", "github"},
             {"params", {{"owner", "octo-org"}, {"repo", "Hello-World"}, {"actions", {"opened"}}}}},
            {{"id", "tell"},
             {"reaction", "discord.send_channel_message"},
             {"connection", "discord"},
             {"after", {"opened"}},
             {"params", {{"channel_id", kChannel}, {"content", "{{ opened.issue.title }} {{ opened.bench_id }}"}}}}}}};
}

// Host, simulators and flow, over one database.
class Rig {
 public:
  explicit Rig(const Plan& plan)
      : simulators_(folder_.path() / "simulators.log"),
        host_({.folder = folder_.path(),
               .database = plan.database,
               .github = simulators_.github(),
               .discord = simulators_.discord()}),
        api_(host_) {
    host_.start();
    api_.sign_up("crash" + std::to_string(steady_ns()) + "@example.org");
    api_.connect("github", "github", harness::kGithubToken);
    api_.connect("discord", "discord", harness::kDiscordToken);
    api_.activate(api_.create_flow(message_flow()));
    target_ = harness::hook_target(host_, simulators_);
  }

  // One kill. The times when it happens and what the load does meanwhile come from random.
  void round(int concurrency, std::mt19937_64& random, Verdict& verdict) {
    const auto kill_after = milliseconds(std::uniform_int_distribution(50, 1500)(random));
    const bool goes_on = std::bernoulli_distribution(0.5)(random);
    const auto then = milliseconds(std::uniform_int_distribution(0, 400)(random));
    harness::Load load({.target = target_,
                        .body = harness::issues_payload({}),
                        .concurrency = concurrency,
                        .first_id = next_id_,
                        .patience_seconds = 120});
    std::this_thread::sleep_for(kill_after);
    if (!host_.running()) throw std::runtime_error("the host ended by itself:\n" + host_.log());
    host_.kill();
    if (!goes_on) load.stop();
    const auto began_ns = steady_ns();
    host_.start();
    verdict.longest_restart_ms =
        std::max(verdict.longest_restart_ms, static_cast<double>(steady_ns() - began_ns) / 1e6);
    std::this_thread::sleep_for(then);
    load.stop();
    for (const auto& sent : load.finish()) {
      next_id_ = std::max(next_id_, sent.id + 1);
      if (sent.accepted()) accepted_.push_back(sent.id);
    }
  }

  void judge(Verdict& verdict) {
    wait_for_runs();
    auto messages = count_messages();
    const auto missing = [&] {
      return std::ranges::count_if(accepted_, [&](auto id) { return !messages.contains(harness::bench_id(id)); });
    };
    // A delivery that was committed raw becomes a run later.
    (void)wait_until([&] { return missing() == 0 || (messages = count_messages(), missing() == 0); }, seconds(20),
                     seconds(1));
    verdict.accepted += accepted_.size();
    verdict.messages += messages.size();
    for (const auto id : accepted_) {
      if (messages.contains(harness::bench_id(id))) continue;
      ++verdict.lost;
      note(verdict, "lost " + harness::bench_id(id));
    }
    for (const auto& [id, count] : messages) {
      if (count < 2) continue;
      ++verdict.doubled;
      note(verdict, "doubled " + id);
    }
    verdict.completed += api_.count_runs("status=completed");
    verdict.parked += api_.count_runs("status=failed") + api_.count_runs("status=paused");
    if (verdict.lost + verdict.doubled == 0) return;
    folder_.keep();
    verdict.kept = folder_.path();
  }

  [[nodiscard]] std::size_t accepted() const { return accepted_.size(); }

 private:
  static void note(Verdict& verdict, const std::string& example) {
    if (verdict.examples.size() < 10) verdict.examples.push_back(example);
  }

  void wait_for_runs() {
    const auto none = [&](const std::string& status) {
      return api_.get("/runs?limit=1&status=" + status).at("data").empty();
    };
    const bool done = wait_until([&] { return none("pending") && none("running"); }, seconds(300), milliseconds(200));
    if (!done) throw std::runtime_error("runs were still under way after 300 s");
  }

  std::map<std::string, int> count_messages() {
    std::map<std::string, int> counts;
    for (const auto& message : simulators_.messages()) {
      const auto at = message.content.find("BID");
      if (at != std::string::npos) ++counts[message.content.substr(at, harness::kBenchIdLength)];
    }
    return counts;
  }

  harness::ScratchFolder folder_{"crash"};
  harness::Simulators simulators_;
  harness::Host host_;
  harness::Api api_;
  harness::Target target_;
  std::uint64_t next_id_ = 1;
  std::vector<std::uint64_t> accepted_;
};

}  // namespace

Verdict run(const Plan& plan, const std::function<void(const std::string&)>& progress) {
  Verdict verdict;
  std::mt19937_64 random(plan.seed);
  std::optional<Rig> rig;
  for (int round = 1; round <= plan.rounds; ++round) {
    if (!rig) rig.emplace(plan);
    rig->round(plan.concurrency, random, verdict);
    progress("round " + std::to_string(round) + ": " + std::to_string(rig->accepted()) + " accepted so far");
    if (!plan.fresh && round < plan.rounds) continue;
    rig->judge(verdict);
    rig.reset();
  }
  return verdict;
}

}  // namespace patchbay::crash
