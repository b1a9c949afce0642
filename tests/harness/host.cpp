#include "harness/host.hpp"

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "harness/clock.hpp"
#include "harness/scratch.hpp"

namespace patchbay::harness {
namespace {

std::string tail_of(const std::string& text, std::size_t length = 2000) {
  return text.size() > length ? text.substr(text.size() - length) : text;
}

std::string toml_text(const std::string& text) { return '"' + text + '"'; }

std::string configuration_of(const HostSettings& settings, std::uint16_t port) {
  const std::string folder = settings.folder.string();
  const std::string database = settings.database.empty() ? "sqlite:" + folder + "/patchbay.db" : settings.database;
  const std::string plugins = settings.plugins.empty() ? plugin_folder() : settings.plugins;
  std::string text =
      "[server]\naddress = \"127.0.0.1\"\nport = " + std::to_string(port) +
      "\npublic_url = \"http://127.0.0.1:" + std::to_string(port) + "\"\nport_file = " + toml_text(folder + "/port") +
      "\n[database]\nurl = " + toml_text(database) + "\n[vault]\nkey_file = " + toml_text(folder + "/patchbay.key") +
      "\n[plugins]\nfolder = " + toml_text(plugins) + "\n[egress]\nallowed_private_networks = [\"127.0.0.0/8\"]\n" +
      "[log]\nlevel = " + toml_text(settings.log_level) + "\n[providers.http]\nallowed_hosts = [\"127.0.0.1\"]\n";
  if (!settings.github.empty()) text += "[providers.github]\nbase_url = " + toml_text(settings.github) + "\n";
  if (!settings.discord.empty()) text += "[providers.discord]\nbase_url = " + toml_text(settings.discord) + "\n";
  return text + settings.more;
}

}  // namespace

Host::Host(HostSettings settings)
    : settings_(std::move(settings)), port_(free_port()), configuration_(settings_.folder / "patchbay.toml") {
  write_file(configuration_, configuration_of(settings_, port_));
  if (std::filesystem::exists(settings_.folder / "patchbay.key")) return;
  prepare({"keys", "init"});
  prepare({"migrate"});
}

void Host::prepare(std::vector<std::string> arguments) {
  const auto done = command(arguments);
  if (done.exit_code == 0) return;
  throw std::runtime_error("patchbay " + arguments.front() + " failed: " + done.output +
                           tail_of(read_file(settings_.folder / "command.log")));
}

void Host::launch() {
  process_.emplace(Command{.program = binary("patchbay"),
                           .arguments = {"--config", configuration_, "serve"},
                           .log_file = settings_.folder / "patchbay.log"});
}

void Host::start() {
  launch();
  Http http;
  const bool ready = wait_until(
      [&] { return !running() || http.send("GET", url("/readyz"), {}, {}, std::chrono::seconds(2)).status == 200; },
      std::chrono::seconds(60), std::chrono::milliseconds(2));
  if (!ready || !running()) throw std::runtime_error("patchbay did not become ready:\n" + tail_of(log()));
}

void Host::kill() {
  if (process_) process_->kill();
}

int Host::stop() { return process_ ? process_->stop(std::chrono::seconds(30)) : 0; }

std::string Host::url(const std::string& path) const { return "http://127.0.0.1:" + std::to_string(port_) + path; }

std::string Host::log() const { return read_file(settings_.folder / "patchbay.log"); }

Finished Host::command(std::vector<std::string> arguments, std::vector<std::string> environment) {
  arguments.insert(arguments.begin(), {"--config", configuration_});
  return run({.program = binary("patchbay"),
              .arguments = std::move(arguments),
              .environment = std::move(environment),
              .log_file = settings_.folder / "command.log"});
}

Reply Api::call(const std::string& method, const std::string& path, const nlohmann::json& body) {
  Headers headers{{"Accept", "application/json"}};
  if (!token_.empty()) headers.emplace_back("Authorization", "Bearer " + token_);
  if (!body.is_null()) headers.emplace_back("Content-Type", "application/json");
  auto reply = http_.send(method, base_ + path, headers, body.is_null() ? std::string{} : body.dump(), std::chrono::seconds(60));
  auto leaks = canaries_.found_in("the answer to " + method + " " + path, reply.body);
  for (const auto& [name, value] : reply.headers) {
    for (auto& leak : canaries_.found_in("a header of the answer to " + method + " " + path, value)) leaks.push_back(std::move(leak));
  }
  if (!leaks.empty()) throw std::runtime_error(leaks.front());
  return reply;
}

Reply Api::call(const std::string& method, const std::string& path) { return call(method, path, nullptr); }

nlohmann::json Api::expect(const std::string& method, const std::string& path, const nlohmann::json& body) {
  const auto reply = call(method, path, body);
  if (reply.status / 100 != 2) {
    throw std::runtime_error(method + " " + path + ": " + std::to_string(reply.status) + " " + reply.error +
                             tail_of(reply.body));
  }
  return reply.body.empty() ? nlohmann::json() : reply.json();
}

nlohmann::json Api::get(const std::string& path) { return expect("GET", path, nullptr); }

void Api::sign_up(const std::string& email, const std::string& password) {
  const nlohmann::json account{{"email", email}, {"password", password}};
  expect("POST", "/auth/register", account);
  token_ = expect("POST", "/auth/login", account).at("access_token");
  canaries_.add("the password", password);
  canaries_.add("the session's token", token_);
}

std::string Api::connect(const std::string& provider, const std::string& name, const std::string& token) {
  canaries_.add("the token of " + name, token);
  return expect("POST", "/connections",
                {{"provider", provider}, {"name", name}, {"auth", {{"type", "token"}, {"token", token}}}})
      .at("id");
}

std::string Api::create_flow(const nlohmann::json& definition) { return expect("POST", "/flows", definition).at("id"); }
void Api::activate(const std::string& flow) { expect("POST", "/flows/" + flow + "/activate", nullptr); }
void Api::deactivate(const std::string& flow) { expect("POST", "/flows/" + flow + "/deactivate", nullptr); }

std::vector<nlohmann::json> Api::runs(const std::string& query) {
  std::vector<nlohmann::json> all;
  const std::string first = "/runs?limit=200" + (query.empty() ? "" : "&" + query);
  std::string path = first;
  for (;;) {
    auto page = get(path);
    for (auto& run : page.at("data")) all.push_back(std::move(run));
    if (!page.contains("next") || !page["next"].is_string()) return all;
    path = first + "&cursor=" + page["next"].get<std::string>();
  }
}

std::size_t Api::count_runs(const std::string& query) { return runs(query).size(); }

std::string activate_fragile(const Host& host, Api& api) {
  api.activate(api.create_flow(nlohmann::json::parse(R"({"name": "Fragile", "nodes": [
    {"id": "hook", "trigger": "fragile.hook"},
    {"id": "work", "reaction": "fragile.work", "after": ["hook"], "params": {"how": "{{ hook.reaction }}"}}]})")));
  const auto log = host.log();
  const auto hook = log.rfind("/hooks/");
  if (hook == std::string::npos) throw std::runtime_error("the fragile plugin does not say its hook:\n" + log);
  return log.substr(hook, log.find_first_of(" \n", hook) - hook);
}

Target hook_target(const Host& host, Simulators& simulators) {
  const auto hooks = simulators.hooks();
  if (hooks.empty()) throw std::runtime_error("GitHub's simulator knows no hook: was the flow activated?");
  return {.port = host.port(), .path = "/hooks/" + hooks.back().token, .secret = hooks.back().secret};
}

}  // namespace patchbay::harness
