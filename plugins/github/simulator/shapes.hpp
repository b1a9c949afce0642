#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/time.hpp"

namespace patchbay::simulators::github {

// What GitHub says about things: complete objects, valid against its OpenAPI description.

inline constexpr const char* kApi = "https://api.github.com";
inline constexpr const char* kWeb = "https://github.com";
inline constexpr const char* kLogin = "patchbay-bot";  // whose token it is

struct Repository {
  std::string owner = {};
  std::string name = {};
  [[nodiscard]] std::string full_name() const { return owner + "/" + name; }
  [[nodiscard]] long long id() const;  // the same for the same name
};

struct Hook {
  long long id = 0;
  Repository repository = {};
  std::string url = {};
  std::string content_type = "form";  // GitHub's default
  std::string secret = {};
  std::string insecure_ssl = "0";
  std::vector<std::string> events = {};
  bool active = true;
  Timestamp created = {};
  Timestamp updated = {};
  long last_code = -1;  // of the last delivery's answer; -1: none was sent
};

struct Issue {
  long long id = 0;
  int number = 0;
  Repository repository = {};
  std::string title = {};
  std::string body = {};
  std::vector<std::string> labels = {};
  std::vector<std::string> assignees = {};
  Timestamp created = {};
};

[[nodiscard]] std::string to_seconds(Timestamp t);  // "2026-11-21T05:02:09Z"
[[nodiscard]] nlohmann::json user_json(const std::string& login);
[[nodiscard]] nlohmann::json repository_json(const Repository& repository);  // as webhooks have it, in short
[[nodiscard]] nlohmann::json hook_json(const Hook& hook);                    // with the secret as "********"
[[nodiscard]] nlohmann::json issue_json(const Issue& issue);
[[nodiscard]] nlohmann::json ping_json(const Hook& hook);
[[nodiscard]] nlohmann::json error_json(int status, const std::string& message, const std::string& page = "");
// 422. Each of errors: {"resource", "field", "code", "message"?}.
[[nodiscard]] nlohmann::json validation_json(const nlohmann::json& errors, const std::string& page);

// Names of webhook events that a repository's hook can ask for; "*" is all.
[[nodiscard]] bool is_hook_event(const std::string& name);

}  // namespace patchbay::simulators::github
