#include "hosts/pair.hpp"

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "harness/clock.hpp"
#include "harness/payload.hpp"

namespace patchbay::hosts {
namespace {

nlohmann::json flow(const std::string& sink) {
  return {{"name", "Two hosts"},
          {"nodes",
           {{{"id", "opened"},
             {"trigger", "github.issues"},
             {"connection", "github"},
             {"params", {{"owner", "octo-org"}, {"repo", "Hello-World"}, {"actions", {"opened"}}}}},
            {{"id", "post"},
             {"reaction", "http.request"},
             {"after", {"opened"}},
             {"params", {{"method", "POST"}, {"url", sink}, {"body", {{"text", "{{ opened.bench_id }}"}}}}}}}}};
}

}  // namespace

Pair::Pair(const PairSettings& settings)
    : sink_(std::chrono::milliseconds(settings.answer_ms)), simulators_(folder_.path() / "simulators.log") {
  const auto database = server_.make_database();
  const auto make = [&](const char* name) {
    const auto folder = folder_.path() / name;
    std::filesystem::create_directories(folder);
    return harness::HostSettings{.folder = folder,
                                 .database = database,
                                 .github = simulators_.github(),
                                 .discord = simulators_.discord(),
                                 .more = "[engine]\nconcurrent_reactions = " + std::to_string(settings.places) + "\nlease = \"" +
                                         std::to_string(settings.lease_seconds) + "s\"\n"};
  };
  first_.emplace(make("first"));
  const auto second = make("second");
  std::filesystem::copy_file(first_->settings().folder / "patchbay.key", second.folder / "patchbay.key");
  second_.emplace(second);
  first_->start();
  api_.emplace(*first_);
  api_->sign_up();
  api_->connect("github", "github", harness::kGithubToken);
  api_->activate(api_->create_flow(flow(sink_.url())));
  target_ = harness::hook_target(*first_, simulators_);
}

harness::LoadSettings Pair::load_to(int which) {
  auto target = target_;
  target.port = host(which).port();
  const harness::LoadSettings load{.target = target, .body = harness::issues_payload({}), .concurrency = 16, .first_id = next_id_};
  next_id_ += 1'000'000;
  return load;
}

void Pair::add(const std::vector<harness::Sent>& all) {
  for (const auto& sent : all) {
    if (sent.accepted()) accepted_.push_back(sent.id);
  }
}

void Pair::forget() {
  accepted_.clear();
  sink_.clear();
}

std::size_t Pair::missing() {
  std::set<std::uint64_t> arrived;
  for (const auto& arrival : sink_.arrivals()) arrived.insert(arrival.id);
  return static_cast<std::size_t>(std::ranges::count_if(accepted_, [&](auto id) { return !arrived.contains(id); }));
}

bool Pair::wait_for_all(double limit_seconds) {
  return harness::wait_until([&] { return sink_.count() >= accepted_.size() && missing() == 0; },
                             std::chrono::milliseconds(static_cast<int>(limit_seconds * 1000)), std::chrono::milliseconds(20));
}

Pair::Count Pair::count() {
  std::map<std::uint64_t, std::map<std::uint64_t, int>> keys;
  for (const auto& arrival : sink_.arrivals()) ++keys[arrival.id][arrival.key_hash];
  Count count{.accepted = accepted_.size(), .lost = missing()};
  for (const auto& [id, of] : keys) {
    count.doubled += of.size() - 1;
    for (const auto& [key, times] : of) count.repeated += static_cast<std::size_t>(times) - 1;
  }
  return count;
}

}  // namespace patchbay::hosts
