#include "harness/oauth_server.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "harness/scratch.hpp"

namespace patchbay::harness {
namespace {

constexpr int kSkipped = 77;

std::string installed_folder() { return std::string(PATCHBAY_NPM_FOLDER) + "/oauth"; }

// As the shell would find it; Process wants a path.
Command shell(const std::string& script, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"-c", script, "sh"});
  return {.program = "/bin/sh", .arguments = std::move(arguments)};
}

Command server_command(nlohmann::json settings, const std::string& log_file) {
  settings["ends_with_stdin"] = false;  // what ours is, nobody knows; it dies with this process anyway
  auto command = shell("cd \"$1\" && exec node server.mjs \"$2\"", {installed_folder(), settings.dump()});
  command.log_file = log_file;
  command.read_output = true;
  return command;
}

}  // namespace

std::optional<std::string> OAuthServer::missing() {
  static const std::optional<std::string> why = []() -> std::optional<std::string> {
    const auto done = run(shell("exec \"$1\"/install \"$2\"", {PATCHBAY_OAUTH_SERVER, installed_folder()}),
                          std::chrono::seconds(100));
    if (done.exit_code == 0) return std::nullopt;
    if (done.exit_code == kSkipped) return done.output;
    throw std::runtime_error("tests/oauth/server/install failed: " + done.output);
  }();
  return why;
}

OAuthServer::OAuthServer(const nlohmann::json& settings, const std::string& log_file)
    : process_(server_command(settings, log_file)) {
  const auto line = process_.read_line(std::chrono::seconds(20));
  if (!line) throw std::runtime_error("the OAuth server does not listen: " + read_file(log_file));
  base_ = "http://127.0.0.1:" + std::to_string(nlohmann::json::parse(*line).at("port").get<int>());
}

std::string OAuthServer::url(const std::string& path) const { return base_ + path; }

std::string OAuthServer::configuration(const std::string& token_path) const {
  const auto line = [](const std::string& name, const std::string& value) { return name + " = \"" + value + "\"\n"; };
  return "[providers.acme]\n" + line("base_url", url("/api")) + "[providers.acme.oauth]\n" +
         line("client_id", kOAuthClient) + line("client_secret", kOAuthSecret) + line("authorize_url", url("/auth")) +
         line("token_url", url(token_path)) + line("device_url", url("/device/auth")) +
         line("revoke_url", url("/token/revocation"));
}

nlohmann::json OAuthServer::control(const std::string& method, const std::string& path, const nlohmann::json& body) {
  const auto reply = http_.send(method, url(path), {}, body.is_null() ? std::string() : body.dump());
  if (reply.status != 200)
    throw std::runtime_error(method + " " + path + ": " + std::to_string(reply.status) + " " + reply.error +
                             reply.body);
  return reply.json();
}

void OAuthServer::allow_callbacks(const std::vector<std::string>& urls) {
  control("POST", "/control/client", {{"id", kOAuthClient}, {"redirect_uris", urls}});
}

std::vector<nlohmann::json> OAuthServer::log(std::size_t since) {
  return control("GET", "/control/log?since=" + std::to_string(since), nullptr).at("entries");
}

std::size_t OAuthServer::log_position() { return control("GET", "/control/log", nullptr).at("next"); }

std::size_t OAuthServer::count_refreshes(std::size_t since) {
  const auto entries = log(since);
  return static_cast<std::size_t>(
      std::ranges::count_if(entries, [](const auto& entry) { return entry.at("grant_type") == "refresh_token"; }));
}

std::size_t OAuthServer::count(const std::string& path, int status, std::size_t since) {
  const auto entries = log(since);
  return static_cast<std::size_t>(std::ranges::count_if(
      entries, [&](const auto& entry) { return entry.at("path") == path && entry.at("status") == status; }));
}

void OAuthServer::fail(const nlohmann::json& order) { control("POST", "/control/fail", order); }
void OAuthServer::stop_failing() { control("DELETE", "/control/fail", nullptr); }
void OAuthServer::change(const nlohmann::json& settings) { control("POST", "/control/settings", settings); }
void OAuthServer::set_clock(int offset_seconds) {
  control("POST", "/control/clock", {{"offset_seconds", offset_seconds}});
}
void OAuthServer::expire(const nlohmann::json& which) { control("POST", "/control/expire", which); }
void OAuthServer::revoke(const nlohmann::json& which) { control("POST", "/control/revoke", which); }
nlohmann::json OAuthServer::reuse(const nlohmann::json& which) { return control("POST", "/control/reuse", which); }
std::vector<nlohmann::json> OAuthServer::grants() { return control("GET", "/control/grants", nullptr).at("grants"); }
std::vector<nlohmann::json> OAuthServer::notes() { return control("GET", "/control/notes", nullptr).at("notes"); }
std::vector<std::string> OAuthServer::secrets() { return control("GET", "/control/secrets", nullptr).at("secrets"); }
std::vector<nlohmann::json> OAuthServer::hooks() { return control("GET", "/control/hooks", nullptr).at("hooks"); }

std::size_t OAuthServer::fire(const nlohmann::json& order) {
  const auto fired = control("POST", "/api/hooks/fire", order).at("fired");
  return static_cast<std::size_t>(
      std::ranges::count_if(fired, [](const auto& one) { return one.at("status").template get<int>() / 100 == 2; }));
}

}  // namespace patchbay::harness
