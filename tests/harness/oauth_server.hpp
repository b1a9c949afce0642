#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/http.hpp"
#include "harness/process.hpp"

namespace patchbay::harness {

inline constexpr const char* kOAuthClient = "patchbay";
inline constexpr const char* kOAuthSecret = "patchbay-secret";

// The authorization server of tests/oauth/server with its resource server Acme, as a process on loopback. One thread.
class OAuthServer {
 public:
  // Why it cannot be had here: no Node.js 20, no npm, nothing to install from. Installs it into the build tree, once.
  [[nodiscard]] static std::optional<std::string> missing();

  // settings: as server.mjs takes them. Throws when it does not begin to listen within 20 s.
  explicit OAuthServer(const nlohmann::json& settings, const std::string& log_file = {});

  [[nodiscard]] std::string url(const std::string& path = {}) const;
  [[nodiscard]] pid_t pid() const { return process_.pid(); }
  // [providers.acme] and [providers.acme.oauth] of a host. token_path: "/quirks/github/token" and its like.
  [[nodiscard]] std::string configuration(const std::string& token_path = "/token") const;
  // Where codes may be sent from now on, to the letter.
  void allow_callbacks(const std::vector<std::string>& urls);

  // Requests after the one with this number, oldest first: n, at (ms), method, path, grant_type, client, account,
  // status (0: it was cut; null: under way), error, injected.
  [[nodiscard]] std::vector<nlohmann::json> log(std::size_t since = 0);
  [[nodiscard]] std::size_t log_position();
  [[nodiscard]] std::size_t count_refreshes(std::size_t since = 0);
  [[nodiscard]] std::size_t count(const std::string& path, int status, std::size_t since = 0);

  // {path, status, count, body, headers, delay_ms, cut}: what becomes of the next requests to that path.
  void fail(const nlohmann::json& order);
  void stop_failing();
  void change(const nlohmann::json& settings);
  void set_clock(int offset_seconds);
  void expire(const nlohmann::json& which);  // {account, client, grant}: their access tokens die; {}: all
  void revoke(const nlohmann::json& which);  // the families die
  // Somebody uses a refresh token that was replaced. What he is answered: {status, error}; status 0: none was replaced.
  nlohmann::json reuse(const nlohmann::json& which);
  // Living families: id, account, client, scopes, access_tokens, refresh_tokens (how many are good).
  [[nodiscard]] std::vector<nlohmann::json> grants();
  [[nodiscard]] std::vector<nlohmann::json> notes();
  // Every token, code and hook's secret that it has ever given or got.
  [[nodiscard]] std::vector<std::string> secrets();
  [[nodiscard]] std::vector<nlohmann::json> hooks();
  // {text, delivery, count, ports}: signed deliveries to all hooks. How many were taken (2xx).
  std::size_t fire(const nlohmann::json& order);

 private:
  nlohmann::json control(const std::string& method, const std::string& path, const nlohmann::json& body);

  Process process_;
  Http http_;
  std::string base_;
};

}  // namespace patchbay::harness
