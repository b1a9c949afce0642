#include "oauth/rig.hpp"

#include <gmock/gmock.h>

#include "harness/clock.hpp"

namespace patchbay::oauth {

using harness::wait_until;
using nlohmann::json;

void OAuth::SetUp() {
  if (const auto why = harness::OAuthServer::missing()) GTEST_SKIP() << *why;
  begin({});
}

void OAuth::TearDown() {
  if (server_ && api_) {
    api_->canaries().add("the client's secret", harness::kOAuthSecret);
    for (const auto& secret : server_->secrets()) api_->canaries().add("a token, a code or a hook's secret", secret);
    for (const auto& host : hosts_) EXPECT_THAT(api_->canaries().found_below(host->settings().folder), ::testing::IsEmpty());
  }
  if (!HasFailure() || hosts_.empty()) return;
  for (const auto& host : hosts_) std::cerr << "the host's log:\n" << host->log();
  std::cerr << "what the server was asked:\n";
  for (const auto& entry : server_->log()) std::cerr << entry.dump() << '\n';
}

void OAuth::begin(const RigSettings& settings) {
  hosts_.clear();
  server_.emplace(settings.server, folder_.path() / "server.log");
  std::vector<std::string> callbacks;
  const auto part = std::to_string(harness::steady_ns());
  const auto provider = settings.client ? server_->configuration(settings.token_path)
                                        : "[providers.acme]\nbase_url = \"" + server_->url("/api") + "\"\n";
  for (int i = 0; i < settings.hosts; ++i) {
    const auto folder = folder_.path() / (part + "-" + std::to_string(i));
    std::filesystem::create_directories(folder);
    if (i > 0) std::filesystem::copy_file(host().settings().folder / "patchbay.key", folder / "patchbay.key");
    hosts_.push_back(std::make_unique<harness::Host>(
        harness::HostSettings{.folder = folder,
                              .database = settings.database,
                              .plugins = std::string(PATCHBAY_BUILD_DIRECTORY) + "/test-plugins/acme",
                              .more = provider + settings.more}));
    hosts_.back()->start();
    callbacks.push_back(hosts_.back()->url("/oauth2/callback"));
  }
  server_->allow_callbacks(callbacks);
  api_.emplace(host());
  api_->sign_up();
}

harness::Reply OAuth::authorize(const json& more) {
  json wanted{{"provider", "acme"}, {"name", kAcme}, {"scopes", {"notes.read", "notes.write"}}};
  wanted.update(more);
  return api_->call("POST", "/connections/authorize", wanted);
}

json OAuth::expect_authorization(const json& more) {
  const auto reply = authorize(more);
  if (reply.status != 201) throw std::runtime_error("authorize: " + std::to_string(reply.status) + " " + reply.body);
  return reply.json();
}

json OAuth::authorization(const json& made) { return api_->get("/authorizations/" + made.at("id").get<std::string>()); }

bool OAuth::wait_for_authorization(const json& made, const std::string& status) {
  return wait_until([&] { return authorization(made).at("status") == status; }, std::chrono::seconds(30));
}

harness::Page OAuth::sign_in(const json& made, const std::string& account, const std::string& parameters) {
  return browser_.visit(made.at("url").get<std::string>() + "&login_hint=" + account + parameters);
}

std::string OAuth::connect(const json& more, const std::string& account) {
  const auto made = expect_authorization(more);
  const auto page = sign_in(made, account);
  if (page.reply.status != 200)
    throw std::runtime_error("callback: " + std::to_string(page.reply.status) + " " + page.reply.body);
  if (!wait_for_authorization(made, "completed"))
    throw std::runtime_error("not connected: " + authorization(made).dump());
  return authorization(made).at("connection");
}

json OAuth::test(const std::string& id) {
  const auto reply = api_->call("POST", "/connections/" + id + "/test");
  EXPECT_EQ(reply.status, 200) << reply.body;
  return reply.json();
}

bool OAuth::wait_for_state(const std::string& id, const std::string& state, std::chrono::seconds limit) {
  return wait_until([&] { return connection(id).at("state") == state; }, limit);
}

std::string OAuth::activate_echo(const json& retry) {
  json write{{"id", "write"},
             {"reaction", "acme.write_note"},
             {"connection", kAcme},
             {"after", {"fired"}},
             {"params", {{"text", "{{ fired.note.text }}"}}}};
  if (!retry.is_null()) write["retry"] = retry;
  const json flow{{"name", "Echo"},
                  {"nodes", {{{"id", "fired"}, {"trigger", "acme.note_fired"}, {"connection", kAcme}}, write}}};
  auto id = api_->create_flow(flow);
  api_->activate(id);
  return id;
}

void OAuth::fire(int count, const std::string& text) {
  std::vector<int> ports;
  for (const auto& host : hosts_) ports.push_back(host->port());
  EXPECT_EQ(server_->fire({{"count", count}, {"text", text}, {"ports", ports}}), static_cast<std::size_t>(count));
}

bool OAuth::wait_for_runs(const std::string& status, std::size_t count, std::chrono::seconds limit) {
  return wait_until([&] { return api_->count_runs("status=" + status) >= count; }, limit,
                    std::chrono::milliseconds(50));
}

std::string OAuth::step_status(const std::string& node) {
  const auto runs = api_->runs();
  if (runs.size() != 1) throw std::runtime_error("there are " + std::to_string(runs.size()) + " runs");
  const auto run = api_->get("/runs/" + runs.front().at("id").get<std::string>());
  for (const auto& step : run.at("steps")) {
    if (step.at("node") == node) return step.at("status");
  }
  return {};
}

}  // namespace patchbay::oauth
