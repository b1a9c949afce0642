#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <future>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "core/loop.hpp"
#include "engine/engine.hpp"
#include "engine/runs.hpp"
#include "plugin/registry.hpp"
#include "store/migrations.hpp"
#include "support/fake_http_client.hpp"
#include "vault/connections.hpp"
#include "support/test_database.hpp"

namespace patchbay::engine {

// The engine with everything real but the network: SQLite on disk, the shipped plugins, the vault. The providers are
// played by the test.
class EngineRig : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() / ("engine-test-" + std::to_string(::getpid()));
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
    ASSERT_TRUE(vault::Vault::create_key_file(root_ / "key").has_value());
    place_.emplace("sqlite:" + (root_ / "engine.db").string());
    boot();
    const auto now = clock_.now();
    user_ = UserId::make(now);
    ASSERT_TRUE(
        database_
            ->write([&](store::Transaction& transaction) -> Result<> {
              auto added = transaction.execute(
                  "INSERT INTO users (id, email, password_hash, role, created_at) VALUES ($1, $2, '', 'user', 0)",
                  {std::string_view(user_.to_string()), std::string_view("u@example.org")});
              if (!added) return std::unexpected(added.error());
              return {};
            })
            .has_value());
    ASSERT_TRUE(connections_->create(user_, {"github", "octo", "token", {{"token", Secret("ghp_x")}}}).has_value());
    ASSERT_TRUE(connections_->create(user_, {"discord", "team", "token", {{"token", Secret("bot")}}}).has_value());
  }

  void TearDown() override {
    crash();
    place_.reset();
    std::filesystem::remove_all(root_);
    last_test_ended_ = clock_.now();
  }

  // Everything that a process holds, on the database that is there.
  void boot() {
    loop_ = std::make_unique<Loop>();
    background_ = std::make_unique<Loop>();
    background_thread_ = std::thread([loop = background_.get()] { loop->run(); });
    client_ = std::make_unique<support::FakeHttpClient>(*loop_);
    client_->answer = [this](const egress::HttpRequest& request) { return answer(request); };
    auto database = store::open(place_->url());
    ASSERT_TRUE(database.has_value()) << database.error().message;
    database_ = opened(*std::move(database));
    ASSERT_TRUE(store::migrate_to_latest(*database_).has_value());
    vault_ = make_vault();
    connections_ = std::make_unique<vault::Connections>(*database_, *vault_, clock_);
    plugin::RegistrySettings settings;
    settings.folder = std::string(PATCHBAY_BUILD_DIRECTORY) + "/plugins";
    settings.private_folder = root_ / "private";
    registry_ = std::make_unique<plugin::Registry>(*loop_, clock_, *client_, std::move(settings));
    ASSERT_TRUE(registry_->load().has_value());
    connections_->use_manifests(*registry_);
    ASSERT_TRUE(connections_->load().has_value());
    EngineSettings engine_settings;
    engine_settings.runner = runner_settings_;
    engine_settings.runner.save_retry = std::chrono::milliseconds{1};
    engine_settings.intake = intake_settings_;
    engine_settings.retention = retention_settings_;
    engine_.emplace(Engine::Parts{*loop_, *background_, *background_, clock_, *database_, *vault_, *connections_, *registry_},
                    engine_settings);
    about_to_start();
    ASSERT_TRUE(engine_->start("http://127.0.0.1:1").has_value());
  }

  virtual std::unique_ptr<vault::Vault> make_vault() { return *vault::Vault::open(root_ / "key"); }
  virtual void about_to_start() {}  // all but the engine stands
  // The database as the engine is to see it.
  virtual std::unique_ptr<store::Database> opened(std::unique_ptr<store::Database> database) { return database; }

  // Drops everything in memory, as kill -9 does, but for what the commit thread has in hand.
  virtual void crash() {
    if (!engine_) return;
    background_->stop();  // as the program does: what it is at belongs to the engine
    background_thread_.join();
    engine_.reset();
    registry_->shut_down();
    registry_.reset();
    connections_.reset();
    database_.reset();
    client_.reset();
    loop_.reset();
    background_.reset();
  }

  Result<egress::HttpReply> answer(const egress::HttpRequest& request) {
    if (request.provider == "github" && request.method == "POST") {
      hook_url_ = request.body;
      if (!request.expansions.empty()) hook_secret_ = request.expansions[0].second.reveal();
      return egress::HttpReply{201, {}, R"({"id":77,"name":"web"})"};
    }
    if (request.provider == "github") return egress::HttpReply{request.method == "DELETE" ? 204 : 200, {}, "[]"};
    if (!discord_answers_.empty()) {
      auto next = discord_answers_.front();
      discord_answers_.pop_front();
      return next;
    }
    return egress::HttpReply{200, {}, R"({"id":"1","channel_id":"2","content":"x"})"};
  }

  // Calls what blocks while the loop turns.
  template <class Work>
  auto blocking(Work work) {
    auto result = std::async(std::launch::async, std::move(work));
    loop_->run_until([&] { return result.wait_for(std::chrono::seconds{0}) == std::future_status::ready; },
                     std::chrono::seconds{20});
    return result.get();
  }

  static std::string demo(std::string_view more = "") {
    return R"({"name":"demo","nodes":[
      {"id":"opened","trigger":"github.issues","connection":"octo","params":{"owner":"octo","repo":"hello","actions":["opened"]}},
      {"id":"urgent","if":"{{ 'urgent' in opened.issue.labels.name }}","after":["opened"]},
      {"id":"tell","reaction":"discord.send_channel_message","connection":"team","after":["urgent:true"],
       "params":{"channel_id":"1100000000000000001","content":"{{ opened.sender.login }}: {{ opened.issue.title }}"})" +
           std::string(more) + "}]}";
  }

  FlowId activate(const std::string& definition) {
    auto created = engine_->flows().create(user_, definition);
    EXPECT_TRUE(created.has_value()) << created.error().error.message;
    auto active = blocking([&] { return engine_->flows().activate(user_, created->id); });
    EXPECT_TRUE(active.has_value()) << active.error().error.message;
    const auto at = hook_url_.find("/hooks/") + 7;
    token_ = hook_url_.substr(at, hook_url_.find('"', at) - at);
    return created->id;
  }

  static std::string issue(std::string_view title, std::string_view label = "urgent",
                           std::string_view action = "opened") {
    return R"({"action":")" + std::string(action) + R"(","issue":{"number":1,"title":")" + std::string(title) +
           R"(","html_url":"u","labels":[{"name":")" + std::string(label) + R"("}]},"sender":{"login":"mona"}})";
  }

  // The status that a signed delivery is answered with.
  int deliver(const std::string& body, const std::string& id, const std::string& event = "issues",
              bool tamper = false) {
    const auto status = send(body, id, event, tamper);
    loop_->run_until([&] { return status->has_value(); }, std::chrono::seconds{10});
    return status->value_or(0);
  }
  // The same, which is answered while the loop turns.
  std::shared_ptr<std::optional<int>> send(const std::string& body, const std::string& id, const std::string& event = "issues",
                                           bool tamper = false) {
    auto request = std::make_shared<plugin::WebhookRequest>();
    request->method = "POST";
    request->body = body;
    unsigned char mac[32];
    unsigned int length = 32;
    HMAC(EVP_sha256(), hook_secret_.data(), static_cast<int>(hook_secret_.size()),
         reinterpret_cast<const unsigned char*>(body.data()), body.size(), mac, &length);
    request->headers = {{"x-github-event", event},
                        {"x-github-delivery", id},
                        {"x-hub-signature-256", "sha256=" + to_hex({reinterpret_cast<char*>(mac), 32})}};
    if (tamper) request->body += " ";
    auto status = std::make_shared<std::optional<int>>();
    engine_->hooks().deliver(token_, request, [status](HookAnswer answer) { *status = answer.status; });
    return status;
  }

  std::vector<RunSummary> runs(std::vector<std::string> statuses = {}) {
    RunFilter filter;
    filter.user = user_;
    filter.statuses = std::move(statuses);
    return list_runs(*database_, filter).value_or(std::vector<RunSummary>{});
  }
  bool wait_for_runs(std::size_t count, const std::string& status) {
    return loop_->run_until([&] { return runs({status}).size() == count; }, std::chrono::seconds{20});
  }
  std::size_t messages() const {
    return static_cast<std::size_t>(std::count_if(client_->requests.begin(), client_->requests.end(),
                                                  [](const auto& request) { return request.provider == "discord"; }));
  }

  std::filesystem::path root_;
  std::optional<support::TestDatabase> place_;
  // Ids follow the time and never go back, so that a test begins where the clock of the one before it stood.
  inline static Timestamp last_test_ended_{};
  ManualClock clock_{std::max(last_test_ended_, std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()))};
  RunnerSettings runner_settings_;
  RetentionSettings retention_settings_;
  IntakeSettings intake_settings_{.load_retry = std::chrono::milliseconds{20}, .look = std::chrono::milliseconds{20}};
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<Loop> background_;
  std::thread background_thread_;
  std::unique_ptr<support::FakeHttpClient> client_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<vault::Vault> vault_;
  std::unique_ptr<vault::Connections> connections_;
  std::unique_ptr<plugin::Registry> registry_;
  std::optional<Engine> engine_;
  UserId user_;
  std::string hook_url_;
  std::string hook_secret_;
  std::string token_;
  std::deque<Result<egress::HttpReply>> discord_answers_;
};

}  // namespace patchbay::engine
