#include "github/simulator/shapes.hpp"

#include <algorithm>
#include <array>

namespace patchbay::simulators::github {
namespace {

using nlohmann::json;

// docs.github.com, "Webhook events and payloads": those with availability "repository".
constexpr std::array kEvents{"*",
                             "branch_protection_configuration",
                             "branch_protection_rule",
                             "check_run",
                             "check_suite",
                             "code_scanning_alert",
                             "commit_comment",
                             "create",
                             "custom_property_values",
                             "delete",
                             "dependabot_alert",
                             "deploy_key",
                             "deployment",
                             "deployment_protection_rule",
                             "deployment_review",
                             "deployment_status",
                             "discussion",
                             "discussion_comment",
                             "fork",
                             "gollum",
                             "issue_comment",
                             "issues",
                             "label",
                             "member",
                             "merge_group",
                             "meta",
                             "milestone",
                             "package",
                             "page_build",
                             "ping",
                             "project",
                             "project_card",
                             "project_column",
                             "public",
                             "pull_request",
                             "pull_request_review",
                             "pull_request_review_comment",
                             "pull_request_review_thread",
                             "push",
                             "registry_package",
                             "release",
                             "repository",
                             "repository_advisory",
                             "repository_import",
                             "repository_ruleset",
                             "repository_vulnerability_alert",
                             "secret_scanning_alert",
                             "secret_scanning_alert_location",
                             "security_and_analysis",
                             "star",
                             "status",
                             "sub_issues",
                             "team_add",
                             "watch",
                             "workflow_dispatch",
                             "workflow_job",
                             "workflow_run"};

long long number_of(std::string_view text) {  // FNV-1a, cut to what JSON numbers keep
  std::uint64_t hash = 14695981039346656037ULL;
  for (const unsigned char c : text) hash = (hash ^ c) * 1099511628211ULL;
  return static_cast<long long>(hash % 900'000'000) + 100'000'000;
}

std::string node_id(const char* kind, long long id) { return std::string(kind) + "_" + std::to_string(id); }

json label_json(const Repository& repository, const std::string& name) {
  const auto id = number_of(repository.full_name() + "#" + name);
  return {{"id", id},
          {"node_id", node_id("LA", id)},
          {"url", std::string(kApi) + "/repos/" + repository.full_name() + "/labels/" + name},
          {"name", name},
          {"color", "ededed"},
          {"default", false},
          {"description", nullptr}};
}

json reactions_json(const std::string& issue_url) {
  json rollup{{"url", issue_url + "/reactions"}, {"total_count", 0}};
  for (const char* kind : {"+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes"}) rollup[kind] = 0;
  return rollup;
}

}  // namespace

long long Repository::id() const { return number_of(full_name()); }

std::string to_seconds(Timestamp t) {
  const auto text = to_rfc3339(std::chrono::floor<std::chrono::seconds>(t));
  return text.substr(0, 19) + "Z";
}

json user_json(const std::string& login) {
  const auto id = number_of(login);
  const std::string api = std::string(kApi) + "/users/" + login;
  return {{"login", login},
          {"id", id},
          {"node_id", node_id("U", id)},
          {"avatar_url", "https://avatars.githubusercontent.com/u/" + std::to_string(id) + "?v=4"},
          {"gravatar_id", ""},
          {"url", api},
          {"html_url", std::string(kWeb) + "/" + login},
          {"followers_url", api + "/followers"},
          {"following_url", api + "/following{/other_user}"},
          {"gists_url", api + "/gists{/gist_id}"},
          {"starred_url", api + "/starred{/owner}{/repo}"},
          {"subscriptions_url", api + "/subscriptions"},
          {"organizations_url", api + "/orgs"},
          {"repos_url", api + "/repos"},
          {"events_url", api + "/events{/privacy}"},
          {"received_events_url", api + "/received_events"},
          {"type", "User"},
          {"user_view_type", "public"},
          {"site_admin", false}};
}

json repository_json(const Repository& repository) {
  return {{"id", repository.id()},
          {"node_id", node_id("R", repository.id())},
          {"name", repository.name},
          {"full_name", repository.full_name()},
          {"private", false},
          {"owner", user_json(repository.owner)},
          {"html_url", std::string(kWeb) + "/" + repository.full_name()},
          {"url", std::string(kApi) + "/repos/" + repository.full_name()},
          {"default_branch", "main"}};
}

json hook_json(const Hook& hook) {
  const std::string url =
      std::string(kApi) + "/repos/" + hook.repository.full_name() + "/hooks/" + std::to_string(hook.id);
  json config{{"url", hook.url}, {"content_type", hook.content_type}, {"insecure_ssl", hook.insecure_ssl}};
  if (!hook.secret.empty()) config["secret"] = "********";
  json last{{"code", nullptr}, {"status", "unused"}, {"message", nullptr}};
  if (hook.last_code >= 0) {
    const bool good = hook.last_code / 100 == 2;
    last = {{"code", hook.last_code},
            {"status", good ? "active" : "failed"},
            {"message", good ? "OK" : "Invalid HTTP Response: " + std::to_string(hook.last_code)}};
  }
  return {{"type", "Repository"},
          {"id", hook.id},
          {"name", "web"},
          {"active", hook.active},
          {"events", hook.events},
          {"config", config},
          {"updated_at", to_seconds(hook.updated)},
          {"created_at", to_seconds(hook.created)},
          {"url", url},
          {"test_url", url + "/test"},
          {"ping_url", url + "/pings"},
          {"deliveries_url", url + "/deliveries"},
          {"last_response", last}};
}

json issue_json(const Issue& issue) {
  const std::string repository_url = std::string(kApi) + "/repos/" + issue.repository.full_name();
  const std::string url = repository_url + "/issues/" + std::to_string(issue.number);
  auto labels = json::array();
  for (const auto& name : issue.labels) labels.push_back(label_json(issue.repository, name));
  auto assignees = json::array();
  for (const auto& login : issue.assignees) assignees.push_back(user_json(login));
  return {
      {"url", url},
      {"repository_url", repository_url},
      {"labels_url", url + "/labels{/name}"},
      {"comments_url", url + "/comments"},
      {"events_url", url + "/events"},
      {"html_url", std::string(kWeb) + "/" + issue.repository.full_name() + "/issues/" + std::to_string(issue.number)},
      {"id", issue.id},
      {"node_id", node_id("I", issue.id)},
      {"number", issue.number},
      {"title", issue.title},
      {"user", user_json(kLogin)},
      {"labels", labels},
      {"state", "open"},
      {"locked", false},
      {"assignee", assignees.empty() ? json() : assignees.front()},
      {"assignees", assignees},
      {"milestone", nullptr},
      {"comments", 0},
      {"created_at", to_seconds(issue.created)},
      {"updated_at", to_seconds(issue.created)},
      {"closed_at", nullptr},
      {"author_association", "OWNER"},
      {"active_lock_reason", nullptr},
      {"body", issue.body.empty() ? json() : json(issue.body)},
      {"closed_by", nullptr},
      {"reactions", reactions_json(url)},
      {"timeline_url", url + "/timeline"},
      {"performed_via_github_app", nullptr},
      {"state_reason", nullptr}};
}

json ping_json(const Hook& hook) {
  return {{"zen", "Keep it logically awesome."},
          {"hook_id", hook.id},
          {"hook", hook_json(hook)},
          {"repository", repository_json(hook.repository)},
          {"sender", user_json(kLogin)}};
}

json error_json(int status, const std::string& message, const std::string& page) {
  return {{"message", message},
          {"documentation_url", "https://docs.github.com/rest" + page},
          {"status", std::to_string(status)}};
}

json validation_json(const json& errors, const std::string& page) {
  auto body = error_json(422, "Validation Failed", page);
  body["errors"] = errors;
  return body;
}

bool is_hook_event(const std::string& name) { return std::ranges::find(kEvents, name) != kEvents.end(); }

}  // namespace patchbay::simulators::github
