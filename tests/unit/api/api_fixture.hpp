#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "api/router.hpp"
#include "store/migrations.hpp"
#include "support/fake_http_client.hpp"
#include "support/test_database.hpp"

namespace patchbay::api {

// Flows in memory. A definition is good when it is a JSON object with a name.
class FakeFlows : public engine::Flows {
 public:
  explicit FakeFlows(const Clock& clock) : clock_(clock) {}

  bool busy = false;    // activate() and update() are refused: somebody else changes the flow
  bool broken = false;  // list() throws

  engine::Checked<> validate(std::string_view definition) override {
    const auto json = nlohmann::json::parse(definition, nullptr, false);
    if (json.is_object() && json.contains("name")) return {};
    return std::unexpected(engine::Rejection{{Errc::invalid, "the flow has 2 problems"},
                                             {{"/name", "required", "the name is missing"},
                                              {"/nodes/0/trigger", "unknown_trigger", "there is no trigger 'x'"}}});
  }
  engine::Checked<engine::FlowRecord> create(UserId user, std::string_view definition) override {
    if (auto valid = validate(definition); !valid) return std::unexpected(valid.error());
    const auto now = clock_.now();
    flows_.push_back({.id = FlowId::make(now),
                      .user = user,
                      .name = nlohmann::json::parse(definition)["name"],
                      .state = "draft",
                      .version = 1,
                      .definition = std::string(definition),
                      .created = now,
                      .updated = now});
    return flows_.back();
  }
  engine::Checked<engine::FlowRecord> update(UserId user, FlowId id, std::string_view definition,
                                             std::optional<int> if_version) override {
    auto* flow = at(user, id);
    if (flow == nullptr) return std::unexpected(engine::Rejection{unknown(), {}});
    if (busy) return std::unexpected(engine::Rejection{{Errc::conflict, "the flow is being changed"}, {}});
    if (if_version && *if_version != flow->version) {
      return std::unexpected(engine::Rejection{{Errc::conflict, "the flow is at another version"}, {}});
    }
    flow->version += 1;
    flow->definition = definition;
    return *flow;
  }
  Result<engine::FlowRecord> find(UserId user, FlowId id) override {
    auto* flow = at(user, id);
    if (flow == nullptr) return std::unexpected(unknown());
    return *flow;
  }
  Result<std::vector<engine::FlowRecord>> list(UserId user, int limit, std::optional<FlowId> before) override {
    if (broken) throw std::runtime_error("secret detail");
    std::vector<engine::FlowRecord> found;
    for (auto flow = flows_.rbegin(); flow != flows_.rend() && std::ssize(found) < limit; ++flow) {
      if (flow->user == user && (!before || flow->id < *before)) found.push_back(*flow);
    }
    return found;
  }
  engine::Checked<engine::FlowRecord> activate(UserId user, FlowId id) override {
    auto* flow = at(user, id);
    if (flow == nullptr) return std::unexpected(engine::Rejection{unknown(), {}});
    if (busy) return std::unexpected(engine::Rejection{{Errc::unavailable, "github does not answer"}, {}});
    flow->state = "active";
    return *flow;
  }
  Result<engine::FlowRecord> deactivate(UserId user, FlowId id) override {
    auto* flow = at(user, id);
    if (flow == nullptr) return std::unexpected(unknown());
    flow->state = "inactive";
    return *flow;
  }
  Result<> remove(UserId user, FlowId id) override {
    if (at(user, id) == nullptr) return std::unexpected(unknown());
    std::erase_if(flows_, [&](const auto& flow) { return flow.id == id; });
    return {};
  }

 private:
  static Error unknown() { return {Errc::not_found, "there is no such flow"}; }
  engine::FlowRecord* at(UserId user, FlowId id) {
    for (auto& flow : flows_) {
      if (flow.user == user && flow.id == id) return &flow;
    }
    return nullptr;
  }

  const Clock& clock_;
  std::vector<engine::FlowRecord> flows_;
};

// All services but the flows are the real ones, on a database in memory; no plugin is loaded.
class ApiTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("api-test-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_ / "plugins");
    database_ = store::open(place_.url()).value();
    ASSERT_TRUE(store::migrate_to_latest(*database_));
    const auto key_file = (folder_ / "key").string();
    ASSERT_TRUE(vault::Vault::create_key_file(key_file));
    vault_ = vault::Vault::open(key_file).value();
    identity_.emplace(*database_, clock_, identity::IdentitySettings{.password_memory_kib = 8, .password_passes = 1});
    connections_.emplace(*database_, *vault_, clock_);
    plugin::RegistrySettings settings;
    settings.folder = folder_ / "plugins";
    settings.private_folder = folder_ / "private";
    registry_.emplace(loop_, clock_, client_, std::move(settings));
    connections_->use_manifests(*registry_);
    accounts_.emplace(loop_, client_, client_, *connections_);
    authorizations_.emplace(*database_, *vault_, clock_, *connections_, *accounts_);
    choices_.emplace(loop_, clock_, *registry_);
    router_.emplace(services());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Services services() { return {*identity_, *connections_, *accounts_, *authorizations_, *choices_, *registry_, *database_, flows_}; }

  // target: below /api/v1, with its query, which must not need decoding.
  Response call(const std::string& method, const std::string& target, const std::string& body = "") {
    Request request;
    request.method = method;
    const auto mark = std::min(target.find('?'), target.size());
    request.path = "/api/v1" + target.substr(0, mark);
    for (auto at = mark; at < target.size();) {
      const auto end = std::min(target.find('&', at + 1), target.size());
      const auto pair = target.substr(at + 1, end - at - 1);
      const auto equals = pair.find('=');
      request.query[pair.substr(0, equals)] = equals == std::string::npos ? "" : pair.substr(equals + 1);
      at = end;
    }
    request.body = body;
    request.bearer = token_;
    request.if_match = if_match_;
    request.request_id = "r-1";
    return router_->answer(std::move(request));
  }
  static nlohmann::json json_of(const Response& response) { return nlohmann::json::parse(response.body); }
  static std::string header(const Response& response, const std::string& name) {
    for (const auto& [key, value] : response.headers) {
      if (key == name) return value;
    }
    return "";
  }
  static std::vector<std::string> pointers(const Response& response) {
    std::vector<std::string> all;
    for (const auto& error : json_of(response).value("errors", nlohmann::json::array())) {
      all.push_back(error.at("pointer"));
    }
    return all;
  }
  // From here on the calls are those of this user.
  void sign_up(const std::string& email) {
    const auto account = nlohmann::json{{"email", email}, {"password", "correct horse"}}.dump();
    token_.clear();
    ASSERT_EQ(call("POST", "/auth/register", account).status, 201);
    token_ = json_of(call("POST", "/auth/login", account)).at("access_token");
  }
  UserId user() { return identity_->authenticate(token_).value().user; }

  std::filesystem::path folder_;
  ManualClock clock_;
  Loop loop_;
  support::FakeHttpClient client_{loop_};
  support::TestDatabase place_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<vault::Vault> vault_;
  std::optional<identity::Identity> identity_;
  std::optional<vault::Connections> connections_;
  std::optional<plugin::Registry> registry_;
  std::optional<vault::Accounts> accounts_;
  std::optional<vault::Authorizations> authorizations_;
  std::optional<engine::Choices> choices_;
  FakeFlows flows_{clock_};
  std::optional<Router> router_;
  std::string token_;
  std::string if_match_;
};

}  // namespace patchbay::api
