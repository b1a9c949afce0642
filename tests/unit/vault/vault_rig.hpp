#pragma once

#include <filesystem>

#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/loop.hpp"
#include "store/migrations.hpp"
#include "support/fake_http_client.hpp"
#include "support/test_database.hpp"
#include "vault/connections.hpp"

namespace patchbay::vault {

// With the shipped plugins' manifests: github (Bearer {token}), discord (Bot {token}), timer (no account).
class VaultRig : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() / ("vault-test-" + std::to_string(::getpid()));
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_ / "none");
    ASSERT_TRUE(Vault::create_key_file(root_ / "key"));
    vault_ = Vault::open(root_ / "key").value();
    database_ = store::open(place_.url()).value();
    ASSERT_TRUE(store::migrate_to_latest(*database_));
    ada_ = add_user("ada@example.org");
    bob_ = add_user("bob@example.org");
    load_plugins(std::string(PATCHBAY_BUILD_DIRECTORY) + "/plugins");
    ASSERT_NE(registry_->manifest("github"), nullptr) << "build the plugins";
    restart();
  }
  void TearDown() override {
    connections_.reset();
    if (registry_) registry_->shut_down();
    registry_.reset();
    std::filesystem::remove_all(root_);
  }

  void load_plugins(const std::string& folder) {
    connections_.reset();
    if (registry_) registry_->shut_down();
    plugin::RegistrySettings settings;
    settings.folder = folder;
    settings.private_folder = root_ / "private";
    registry_.emplace(loop_, clock_, client_, std::move(settings));
    ASSERT_TRUE(registry_->load());
  }
  // What a process has in memory, anew.
  void restart() {
    connections_.emplace(*database_, *vault_, clock_, settings_);
    connections_->use_manifests(*registry_);
    ASSERT_TRUE(connections_->load());
  }

  void execute(std::string_view sql, std::initializer_list<store::Param> params) {
    auto written = database_->write([&](store::Transaction& transaction) -> Result<> {
      auto changed = transaction.execute(sql, params);
      if (!changed) return std::unexpected(changed.error());
      return {};
    });
    ASSERT_TRUE(written) << written.error().message;
  }
  UserId add_user(std::string_view email) {
    const auto id = UserId::make(clock_.now());
    execute("INSERT INTO users (id, email, password_hash, role, created_at) VALUES ($1, $2, '', 'user', 0)",
            {std::string_view(id.to_string()), email});
    return id;
  }
  void add_watch(ConnectionId connection, std::string_view status) {
    const auto flow = FlowId::make(clock_.now()).to_string();
    execute(
        "INSERT INTO flows (id, user_id, name, state, version, definition, created_at, updated_at) "
        "VALUES ($1, $2, 'f', 'active', 1, '{}', 0, 0)",
        {std::string_view(flow), std::string_view(ada_.to_string())});
    execute(
        "INSERT INTO watches (id, flow_id, user_id, flow_version, node_id, provider, trigger_name, params, "
        "connection_id, token, secret, state_version, status, created_at) "
        "VALUES ($1, $2, $3, 1, 'n', 'github', 'issues', '{}', $4, $1, $5, 1, $6, 0)",
        {std::string_view(WatchId::make(clock_.now()).to_string()), std::string_view(flow),
         std::string_view(ada_.to_string()), std::string_view(connection.to_string()), store::Blob{"x"}, status});
  }

  Connection connect(UserId user, const std::string& provider, const std::string& name, const std::string& token) {
    return connections_->create(user, {provider, name, "token", {{"token", Secret(token)}}}).value();
  }
  Error refusal(NewConnection wanted) {
    auto made = connections_->create(ada_, std::move(wanted));
    return made ? Error{Errc::internal, "it was made"} : made.error();
  }
  static egress::HttpRequest request(const std::string& provider, ConnectionId connection) {
    egress::HttpRequest request;
    request.provider = provider;
    request.connection = connection;
    return request;
  }
  Error refused(egress::HttpRequest request) {
    auto authorized = connections_->authorize(request);
    EXPECT_THAT(request.headers, ::testing::IsEmpty());
    return authorized ? Error{Errc::internal, "it went through"} : authorized.error();
  }

  std::filesystem::path root_;
  Loop loop_;
  ManualClock clock_;
  support::FakeHttpClient client_{loop_};
  std::unique_ptr<Vault> vault_;
  support::TestDatabase place_;
  std::unique_ptr<store::Database> database_;
  std::optional<plugin::Registry> registry_;
  ConnectionSettings settings_;
  std::optional<Connections> connections_;
  UserId ada_;
  UserId bob_;
};

}  // namespace patchbay::vault
