#include "harness/simulators.hpp"

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "harness/scratch.hpp"

namespace patchbay::harness {
namespace {

Command sim_command(const std::string& log_file) {
  return {.program = binary("patchbay-sim"),
          .arguments = {"--github-port", "0", "--discord-port", "0", "--github-token", kGithubToken, "--discord-token",
                        kDiscordToken, "--print-json", "--with-parent"},
          .log_file = log_file,
          .read_output = true};
}

// A listing may be the array itself or stand in a member.
nlohmann::json items_of(const nlohmann::json& answer, const char* member) {
  return answer.is_array() ? answer : answer.value(member, nlohmann::json::array());
}

}  // namespace

Simulators::Simulators(const std::string& log_file) : process_(sim_command(log_file)) {
  const auto line = process_.read_line(std::chrono::seconds(20));
  if (!line) throw std::runtime_error("patchbay-sim did not begin to listen");
  const auto urls = nlohmann::json::parse(*line);
  github_ = urls.at("github");
  discord_ = urls.at("discord");
}

Reply Simulators::control(const std::string& method, const std::string& url, const std::string& body) {
  const Headers headers = body.empty() ? Headers{} : Headers{{"Content-Type", "application/json"}};
  auto reply = http_.send(method, url, headers, body, std::chrono::seconds(120));
  if (reply.status / 100 != 2) {
    throw std::runtime_error("simulator: " + method + " " + url + ": " + std::to_string(reply.status) + " " +
                             reply.error + reply.body);
  }
  return reply;
}

std::vector<Hook> Simulators::hooks() {
  std::vector<Hook> hooks;
  for (const auto& item : items_of(control("GET", github_ + "/_sim/hooks").json(), "hooks")) {
    const auto& config = item.at("config");
    Hook hook{.id = item.at("id"),
              .url = config.at("url"),
              .token = {},
              .secret = config.value("secret", ""),
              .events = item.at("events")};
    hook.token = hook.url.substr(hook.url.rfind('/') + 1);
    hooks.push_back(std::move(hook));
  }
  return hooks;
}

std::vector<Message> Simulators::messages() {
  std::vector<Message> messages;
  for (const auto& item : items_of(control("GET", discord_ + "/_sim/messages").json(), "messages")) {
    messages.push_back({.channel = item.value("channel_id", ""), .content = item.at("content")});
  }
  return messages;
}

void Simulators::forget_messages() { control("DELETE", discord_ + "/_sim/messages"); }

void Simulators::fail_discord(int status, int count) {
  control("POST", discord_ + "/_sim/chaos", nlohmann::json{{"status", status}, {"count", count}}.dump());
}

void Simulators::confuse_discord(double part, std::uint64_t seed, int late_ms) {
  control("POST", discord_ + "/_sim/chaos", nlohmann::json{{"part", part}, {"seed", seed}, {"late_ms", late_ms}}.dump());
}

nlohmann::json Simulators::github_requests() {
  return items_of(control("GET", github_ + "/_sim/requests").json(), "requests");
}

nlohmann::json Simulators::deliver(const nlohmann::json& order) {
  return control("POST", github_ + "/_sim/deliver", order.dump()).json();
}

}  // namespace patchbay::harness
