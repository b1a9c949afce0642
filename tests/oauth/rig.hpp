#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/browser.hpp"
#include "harness/host.hpp"
#include "harness/oauth_server.hpp"
#include "harness/scratch.hpp"

namespace patchbay::oauth {

inline constexpr const char* kAcme = "my acme";  // the connection's name

struct RigSettings {
  nlohmann::json server = nlohmann::json::object();  // of server.mjs
  std::string token_path = "/token";
  std::string more = {};      // TOML of the host
  std::string database = {};  // URL; empty: SQLite
  int hosts = 1;              // with a database that they can share
  bool client = true;         // the hosts are told of the authorization server, not only of Acme
};

// A host with the plugin acme, an authorization server that knows its callback, and a user. Without Node.js 20 and npm
// each test is skipped.
class OAuth : public ::testing::Test {
 protected:
  void SetUp() override;  // with the default settings
  void TearDown() override;
  void begin(const RigSettings& settings);

  // POST /connections/authorize for kAcme with the scopes notes.read and notes.write; more takes precedence.
  harness::Reply authorize(const nlohmann::json& more = nlohmann::json::object());
  nlohmann::json expect_authorization(const nlohmann::json& more = nlohmann::json::object());
  nlohmann::json authorization(const nlohmann::json& made);
  bool wait_for_authorization(const nlohmann::json& made, const std::string& status);
  // Opens the address as this account does; parameters: more of the request ("&decision=deny").
  harness::Page sign_in(const nlohmann::json& made, const std::string& account = "ada",
                        const std::string& parameters = {});
  // All of it: authorize, sign in, and the connection's id.
  std::string connect(const nlohmann::json& more = nlohmann::json::object(), const std::string& account = "ada");

  nlohmann::json connection(const std::string& id) { return api_->get("/connections/" + id); }
  nlohmann::json test(const std::string& id);
  bool wait_for_state(const std::string& id, const std::string& state,
                      std::chrono::seconds limit = std::chrono::seconds(30));

  // A flow that writes a note for each that is fired, active; its id.
  std::string activate_echo(const nlohmann::json& retry = nullptr);
  // Acme sends so many webhooks to the host; all are taken.
  void fire(int count = 1, const std::string& text = "hello");
  bool wait_for_runs(const std::string& status, std::size_t count,
                     std::chrono::seconds limit = std::chrono::seconds(60));
  // The status of that node's step in the only run; empty: it has none yet.
  std::string step_status(const std::string& node);

  [[nodiscard]] harness::Host& host(std::size_t which = 0) { return *hosts_.at(which); }
  [[nodiscard]] std::string callback_url() { return host().url("/oauth2/callback"); }

  harness::ScratchFolder folder_{"oauth"};
  std::optional<harness::OAuthServer> server_;
  std::vector<std::unique_ptr<harness::Host>> hosts_;
  std::optional<harness::Api> api_;
  harness::Browser browser_;
  harness::Http http_;
};

}  // namespace patchbay::oauth
