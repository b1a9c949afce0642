#include "e2e/spine.hpp"

#include <algorithm>
#include <sstream>

#include <gmock/gmock.h>

#include "harness/clock.hpp"
#include "harness/signature.hpp"

namespace patchbay::e2e {

using harness::wait_until;

nlohmann::json demo_flow() {
  return {{"name", "Tell the team about urgent issues"},
          {"nodes",
           {{{"id", "opened"},
             {"trigger", "github.issues"},
             {"connection", "octo"},
             {"params", {{"owner", "octo"}, {"repo", "hello"}, {"actions", {"opened"}}}}},
            {{"id", "urgent"}, {"if", "{{ 'urgent' in opened.issue.labels.name }}"}, {"after", {"opened"}}},
            {{"id", "tell"},
             {"reaction", "discord.send_channel_message"},
             {"connection", "team"},
             {"after", {"urgent:true"}},
             {"params",
              {{"channel_id", kChannel}, {"content", "{{ opened.sender.login }} opened {{ opened.issue.title }}"}}}}}}};
}

void Spine::SetUp() {
  begin(settings_);
  ASSERT_EQ(simulators_.hooks().size(), 1U);
}

void Spine::begin(const harness::HostSettings& settings) {
  host_.emplace(settings);
  host_->start();
  api_.emplace(*host_);
  api_->sign_up();
  api_->connect("github", "octo", harness::kGithubToken);
  api_->connect("discord", "team", harness::kDiscordToken);
  flow_ = api_->create_flow(demo_flow());
  api_->activate(flow_);
  hook_ = simulators_.hooks().back();
}

void Spine::TearDown() {
  if (host_ && api_) {
    api_->canaries().add("the hook's secret", hook_.secret);
    EXPECT_THAT(api_->canaries().found_below(host_->settings().folder), ::testing::IsEmpty());
  }
  if (HasFailure() && host_) std::cerr << "the host's log:\n" << host_->log();
}

std::string Spine::issue_body(const std::string& title, std::vector<std::string> labels) {
  return harness::issues_payload({.owner = "octo", .repository = "hello", .title = title, .labels = std::move(labels)});
}

harness::Reply Spine::post_hook(const std::string& body, const std::string& delivery, const std::string& signature) {
  harness::Headers headers{{"Content-Type", "application/json"},
                           {"User-Agent", "GitHub-Hookshot/e2e"},
                           {"X-GitHub-Event", "issues"},
                           {"X-GitHub-Delivery", delivery}};
  if (signature != "none") {
    headers.emplace_back("X-Hub-Signature-256",
                         signature.empty() ? harness::github_signature(hook_.secret, body) : signature);
  }
  return http_.send("POST", host_->url("/hooks/" + hook_.token), headers, body);
}

harness::Reply Spine::post_urgent_issue(const std::string& delivery, const std::string& title) {
  return post_hook(issue_body(title), delivery);
}

bool Spine::wait_for_messages(std::size_t count) {
  return wait_until([&] { return simulators_.messages().size() >= count; });
}

bool Spine::wait_for_runs(const std::string& status, std::size_t count) {
  return wait_until([&] { return api_->count_runs("status=" + status) >= count; });
}

std::size_t Spine::count_messages(const std::string& part_of_content) {
  const auto messages = simulators_.messages();
  return static_cast<std::size_t>(std::ranges::count_if(
      messages, [&](const auto& message) { return message.content.find(part_of_content) != std::string::npos; }));
}

double Spine::metric(const std::string& part_of_line) {
  std::istringstream lines(http_.send("GET", host_->url("/metrics")).body);
  double sum = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#') || line.find(part_of_line) == std::string::npos) continue;
    sum += std::stod(line.substr(line.rfind(' ') + 1));
  }
  return sum;
}

}  // namespace patchbay::e2e
