#include "harness/message_rig.hpp"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "harness/clock.hpp"
#include "harness/payload.hpp"

namespace patchbay::harness {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kChannel = "1100000000000000001";

nlohmann::json message_flow(const std::string& sink) {
  nlohmann::json flow{{"name", "Messages"},
          {"nodes",
           {{{"id", "opened"},
             {"trigger", "github.issues"},
             {"connection", "github"},
             {"params", {{"owner", "octo-org"}, {"repo", "Hello-World"}, {"actions", {"opened"}}}}},
            {{"id", "tell"},
             {"reaction", "discord.send_channel_message"},
             {"connection", "discord"},
             {"after", {"opened"}},
             {"timeout_ms", 2000},
             {"retry", {{"attempts", 100}, {"first_ms", 50}, {"longest_ms", 1000}}},
             {"params", {{"channel_id", kChannel}, {"content", "{{ opened.issue.title }} {{ opened.bench_id }}"}}}}}}};
  if (!sink.empty()) {
    flow["nodes"].push_back({{"id", "once"},
                             {"reaction", "http.request"},
                             {"after", {"opened"}},
                             {"on_unknown", "park"},
                             {"params", {{"method", "POST"}, {"url", sink}, {"body", {{"text", "{{ opened.bench_id }}"}}}}}});
  }
  return flow;
}

void note(Verdict& verdict, const std::string& example) {
  if (verdict.examples.size() < 10) verdict.examples.push_back(example);
}

}  // namespace

MessageRig::MessageRig(const std::string& name, const std::string& database, const std::string& plugins, bool parks)
    : folder_(name),
      parks_(parks),
      simulators_(folder_.path() / "simulators.log"),
      host_({.folder = folder_.path(),
             .database = database,
             .plugins = plugins,
             .github = simulators_.github(),
             .discord = simulators_.discord()}),
      api_(host_) {
  host_.start();
  api_.sign_up(name + std::to_string(steady_ns()) + "@example.org");
  api_.connect("github", "github", kGithubToken);
  api_.connect("discord", "discord", kDiscordToken);
  api_.activate(api_.create_flow(message_flow(parks ? sink_.url() : "")));
  target_ = hook_target(host_, simulators_);
}

LoadSettings MessageRig::load_settings() const {
  return {.target = target_, .body = issues_payload({}), .first_id = next_id_, .patience_seconds = 120};
}

void MessageRig::add(const std::vector<Sent>& all) {
  for (const auto& sent : all) {
    next_id_ = std::max(next_id_, sent.id + 1);
    if (sent.accepted()) accepted_.push_back(sent.id);
  }
}

void MessageRig::judge(Verdict& verdict) {
  wait_for_runs();
  auto messages = count_messages();
  const auto missing = [&] {
    return std::ranges::count_if(accepted_, [&](auto id) { return !messages.contains(bench_id(id)); });
  };
  // A delivery that was committed raw becomes a run later.
  (void)wait_until([&] { return missing() == 0 || (messages = count_messages(), missing() == 0); }, seconds(20),
                   seconds(1));
  verdict.accepted += accepted_.size();
  verdict.messages += messages.size();
  for (const auto id : accepted_) {
    if (messages.contains(bench_id(id))) continue;
    ++verdict.lost;
    note(verdict, "lost " + bench_id(id));
  }
  for (const auto& [id, count] : messages) {
    if (count < 2) continue;
    ++verdict.doubled;
    note(verdict, "doubled " + id);
  }
  verdict.completed += api_.count_runs("status=completed");
  verdict.failed += api_.count_runs("status=failed");
  const auto parked = api_.count_runs("status=paused");
  verdict.parked += parked;
  if (parks_) judge_sink(verdict, parked);
  if (verdict.lost + verdict.doubled + verdict.once_lost + verdict.once_doubled == 0) return;
  folder_.keep();
  verdict.kept = folder_.path();
}

// Never twice; and what is missing is known to be in doubt.
void MessageRig::judge_sink(Verdict& verdict, std::size_t parked) {
  std::map<std::uint64_t, int> arrived;
  for (const auto& arrival : sink_.arrivals()) ++arrived[arrival.id];
  const auto missing = static_cast<std::size_t>(std::ranges::count_if(accepted_, [&](auto id) { return !arrived.contains(id); }));
  verdict.once_lost += missing > parked ? missing - parked : 0;
  for (const auto& [id, times] : arrived) {
    if (times < 2) continue;
    ++verdict.once_doubled;
    note(verdict, "doubled at the sink " + bench_id(id));
  }
}

void MessageRig::wait_for_runs() {
  const auto none = [&](const std::string& status) {
    return api_.get("/runs?limit=1&status=" + status).at("data").empty();
  };
  const bool done = wait_until([&] { return none("pending") && none("running"); }, seconds(300), milliseconds(200));
  if (!done) throw std::runtime_error("runs were still under way after 300 s");
}

std::map<std::string, int> MessageRig::count_messages() {
  std::map<std::string, int> counts;
  for (const auto& message : simulators_.messages()) {
    const auto at = message.content.find("BID");
    if (at != std::string::npos) ++counts[message.content.substr(at, kBenchIdLength)];
  }
  return counts;
}

}  // namespace patchbay::harness
