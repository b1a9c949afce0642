#include "harness/payload.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

namespace patchbay::harness {
namespace {

using Json = nlohmann::ordered_json;
using Suffixes = std::initializer_list<std::pair<const char*, const char*>>;

const std::string kApi = "https://api.github.com";
const std::string kWeb = "https://github.com";

void add_urls(Json& object, const std::string& base, Suffixes suffixes) {
  for (const auto& [name, suffix] : suffixes) object[name] = base + suffix;
}

Json user(const std::string& login) {
  Json user{{"login", login},
            {"id", 21031067},
            {"node_id", "MDQ6VXNlcjIxMDMxMDY3"},
            {"avatar_url", "https://avatars1.githubusercontent.com/u/21031067?v=4"},
            {"gravatar_id", ""}};
  add_urls(user, kApi + "/users/" + login, {{"url", ""}});
  add_urls(user, kWeb + "/" + login, {{"html_url", ""}});
  add_urls(user, kApi + "/users/" + login,
           {{"followers_url", "/followers"},
            {"following_url", "/following{/other_user}"},
            {"gists_url", "/gists{/gist_id}"},
            {"starred_url", "/starred{/owner}{/repo}"},
            {"subscriptions_url", "/subscriptions"},
            {"organizations_url", "/orgs"},
            {"repos_url", "/repos"},
            {"events_url", "/events{/privacy}"},
            {"received_events_url", "/received_events"}});
  user["type"] = "User";
  user["site_admin"] = false;
  return user;
}

Json label(const std::string& api, const std::string& name) {
  return {{"id", 1362934389},
          {"node_id", "MDU6TGFiZWwxMzYyOTM0Mzg5"},
          {"url", api + "/labels/" + name},
          {"name", name},
          {"color", "d73a4a"},
          {"default", true},
          {"description", "Something isn't working"}};
}

Json milestone(const Issue& issue, const std::string& api, const std::string& web) {
  return {{"url", api + "/milestones/1"},
          {"html_url", web + "/milestone/1"},
          {"labels_url", api + "/milestones/1/labels"},
          {"id", 4317517},
          {"node_id", "MDk6TWlsZXN0b25lNDMxNzUxNw=="},
          {"number", 1},
          {"title", "v1.0"},
          {"description", "Add new space flight simulator"},
          {"creator", user(issue.sender)},
          {"open_issues", 1},
          {"closed_issues", 0},
          {"state", "closed"},
          {"created_at", "2019-05-15T15:20:17Z"},
          {"updated_at", "2019-05-15T15:20:18Z"},
          {"due_on", "2019-05-23T07:00:00Z"},
          {"closed_at", "2019-05-15T15:20:18Z"}};
}

Json issue_object(const Issue& issue, const std::string& api, const std::string& web) {
  const std::string number = std::to_string(issue.number);
  const std::string url = api + "/issues/" + number;
  Json object{{"url", url}, {"repository_url", api}};
  add_urls(object, url, {{"labels_url", "/labels{/name}"}, {"comments_url", "/comments"}, {"events_url", "/events"}});
  object["html_url"] = web + "/issues/" + number;
  object["id"] = 444500041;
  object["node_id"] = "MDU6SXNzdWU0NDQ1MDAwNDE=";
  object["number"] = issue.number;
  object["title"] = issue.title;
  object["user"] = user(issue.sender);
  object["labels"] = Json::array();
  for (const auto& name : issue.labels) object["labels"].push_back(label(api, name));
  object["state"] = "open";
  object["locked"] = false;
  object["assignee"] = user(issue.sender);
  object["assignees"] = Json::array({user(issue.sender)});
  object["milestone"] = milestone(issue, api, web);
  object["comments"] = 0;
  object["created_at"] = object["updated_at"] = "2019-05-15T15:20:18Z";
  object["closed_at"] = nullptr;
  object["author_association"] = "OWNER";
  object["active_lock_reason"] = nullptr;
  object["body"] = "It looks like you accidently spelled 'commit' with two 't's.";
  Json reactions{{"url", url + "/reactions"}, {"total_count", 0}};
  for (const char* name : {"+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes"}) reactions[name] = 0;
  object["reactions"] = std::move(reactions);
  object["draft"] = false;
  return object;
}

void add_repository_urls(Json& object, const std::string& api) {
  add_urls(object, api,
           {{"url", ""},
            {"forks_url", "/forks"},
            {"keys_url", "/keys{/key_id}"},
            {"collaborators_url", "/collaborators{/collaborator}"},
            {"teams_url", "/teams"},
            {"hooks_url", "/hooks"},
            {"issue_events_url", "/issues/events{/number}"},
            {"events_url", "/events"},
            {"assignees_url", "/assignees{/user}"},
            {"branches_url", "/branches{/branch}"},
            {"tags_url", "/tags"},
            {"blobs_url", "/git/blobs{/sha}"},
            {"git_tags_url", "/git/tags{/sha}"},
            {"git_refs_url", "/git/refs{/sha}"},
            {"trees_url", "/git/trees{/sha}"},
            {"statuses_url", "/statuses/{sha}"},
            {"languages_url", "/languages"},
            {"stargazers_url", "/stargazers"},
            {"contributors_url", "/contributors"},
            {"subscribers_url", "/subscribers"},
            {"subscription_url", "/subscription"},
            {"commits_url", "/commits{/sha}"},
            {"git_commits_url", "/git/commits{/sha}"},
            {"comments_url", "/comments{/number}"},
            {"issue_comment_url", "/issues/comments{/number}"},
            {"contents_url", "/contents/{+path}"},
            {"compare_url", "/compare/{base}...{head}"},
            {"merges_url", "/merges"},
            {"archive_url", "/{archive_format}{/ref}"},
            {"downloads_url", "/downloads"},
            {"issues_url", "/issues{/number}"},
            {"pulls_url", "/pulls{/number}"},
            {"milestones_url", "/milestones{/number}"},
            {"notifications_url", "/notifications{?since,all,participating}"},
            {"labels_url", "/labels{/name}"},
            {"releases_url", "/releases{/id}"},
            {"deployments_url", "/deployments"}});
}

Json repository_object(const Issue& issue, const std::string& api, const std::string& web) {
  const std::string full_name = issue.owner + "/" + issue.repository;
  Json object{{"id", 186853002},
              {"node_id", "MDEwOlJlcG9zaXRvcnkxODY4NTMwMDI="},
              {"name", issue.repository},
              {"full_name", full_name},
              {"private", false},
              {"owner", user(issue.owner)},
              {"html_url", web},
              {"description", nullptr},
              {"fork", false}};
  add_repository_urls(object, api);
  object["created_at"] = "2019-05-15T15:19:25Z";
  object["updated_at"] = "2019-05-15T15:19:27Z";
  object["pushed_at"] = "2019-05-15T15:20:13Z";
  object["git_url"] = "git://github.com/" + full_name + ".git";
  object["ssh_url"] = "git@github.com:" + full_name + ".git";
  object["clone_url"] = web + ".git";
  object["svn_url"] = web;
  object["homepage"] = nullptr;
  for (const char* name : {"size", "stargazers_count", "watchers_count"}) object[name] = 0;
  object["language"] = nullptr;
  for (const char* name : {"has_issues", "has_projects", "has_downloads", "has_wiki"}) object[name] = true;
  object["has_pages"] = true;
  object["forks_count"] = 0;
  object["mirror_url"] = nullptr;
  object["archived"] = object["disabled"] = false;
  object["open_issues_count"] = 1;
  object["license"] = nullptr;
  object["forks"] = 0;
  object["open_issues"] = 1;
  object["watchers"] = 0;
  object["default_branch"] = "master";
  object["is_template"] = false;
  object["topics"] = Json::array();
  object["visibility"] = "public";
  object["web_commit_signoff_required"] = false;
  object["custom_properties"] = Json::object();
  return object;
}

}  // namespace

std::string issues_payload(const Issue& issue) {
  const std::string full_name = issue.owner + "/" + issue.repository;
  const std::string api = kApi + "/repos/" + full_name;
  const std::string web = kWeb + "/" + full_name;
  const Json payload{{"action", issue.action},
                     {"issue", issue_object(issue, api, web)},
                     {"repository", repository_object(issue, api, web)},
                     {"sender", user(issue.sender)},
                     {"bench_id", issue.bench_id}};
  return payload.dump();
}

std::string bench_id(unsigned long long number) {
  char text[32];
  std::snprintf(text, sizeof text, "BID%012llu", number);
  return text;
}

}  // namespace patchbay::harness
