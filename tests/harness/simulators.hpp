#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/http.hpp"
#include "harness/process.hpp"

namespace patchbay::harness {

inline constexpr const char* kGithubToken = "ghp_simulated";
inline constexpr const char* kDiscordToken = "simulated.bot.token";

// A webhook that Patchbay has made at GitHub.
struct Hook {
  long long id = 0;
  std::string url;
  std::string token;  // the last part of url
  std::string secret;
  std::vector<std::string> events;
};

// A message that arrived at Discord.
struct Message {
  std::string channel;
  std::string content;
};

// The program patchbay-sim: GitHub and Discord on loopback. One thread.
class Simulators {
 public:
  // Throws when it does not begin to listen within 20 s.
  explicit Simulators(const std::string& log_file = {});

  [[nodiscard]] const std::string& github() const { return github_; }
  [[nodiscard]] const std::string& discord() const { return discord_; }

  [[nodiscard]] std::vector<Hook> hooks();
  [[nodiscard]] std::vector<Message> messages();
  void forget_messages();
  // Discord answers its next count requests with status.
  void fail_discord(int status, int count);
  // So large a part of Discord's answers goes wrong in random ways (tools/sim, Chaos); 0: none any more.
  void confuse_discord(double part, std::uint64_t seed, int late_ms);
  // Requests that GitHub has seen, as its simulator lists them.
  [[nodiscard]] nlohmann::json github_requests();
  // GitHub sends a signed webhook to every matching hook. The simulator's report.
  nlohmann::json deliver(const nlohmann::json& order);

 private:
  Reply control(const std::string& method, const std::string& url, const std::string& body = {});

  Process process_;
  Http http_;
  std::string github_;
  std::string discord_;
};

}  // namespace patchbay::harness
