#include "scale/rig.hpp"

#include <nlohmann/json.hpp>
#include <random>

#include "harness/payload.hpp"

namespace patchbay::scale {

Rig::Rig(const std::string& more)
    : simulators_(folder_.path() / "simulators.log"),
      host_({.folder = folder_.path(), .github = simulators_.github(), .discord = simulators_.discord(), .log_level = "warn", .more = more}),
      api_(host_) {
  host_.start();
  api_.sign_up();
  api_.connect("github", "github", harness::kGithubToken);
}

std::string Rig::activate(const std::string& url, const std::string& more_of_reaction) {
  const std::string text = R"({"name": "Scale", "nodes": [
    {"id": "hook", "trigger": "github.issues", "connection": "github", "params": {"owner": "octo-org", "repo": "Hello-World"}},
    {"id": "post", "reaction": "http.request", "after": ["hook"])" + more_of_reaction +
                           R"(, "params": {"method": "POST", "url": ")" + url + R"(", "body": {"text": "{{ hook.bench_id }}"}}}]})";
  const auto id = api_.create_flow(nlohmann::json::parse(text));
  api_.activate(id);
  return id;
}

std::string payload_of(std::size_t bytes) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
  std::mt19937_64 random(7);
  std::string body;
  while (body.size() + 400 < bytes) body += kLetters[random() % kLetters.size()];
  return nlohmann::json{{"action", "opened"},
                        {"bench_id", harness::bench_id(0)},
                        {"issue", {{"number", 1}, {"title", "Spelling error"}, {"labels", nlohmann::json::array()}, {"body", body}}},
                        {"repository", {{"name", "Hello-World"}, {"full_name", "octo-org/Hello-World"}, {"owner", {{"login", "octo-org"}}}}},
                        {"sender", {{"login", "Codertocat"}}}}
      .dump();
}

}  // namespace patchbay::scale
