#include "vault/reseal.hpp"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/migrations.hpp"
#include "support/faulty_database.hpp"
#include "support/test_database.hpp"
#include "unit/vault/key_places.hpp"

namespace patchbay::vault {
namespace {

using ::testing::HasSubstr;

// Rows of both tables, of one user, sealed by a vault with a key file.
class ResealTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() / ("reseal-test-" + std::to_string(::getpid()));
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
    ASSERT_TRUE(Vault::create_key_file(root_ / "key"));
    vault_ = Vault::open(root_ / "key").value();
    database_ = store::open(place_.url()).value();
    ASSERT_TRUE(store::migrate_to_latest(*database_));
    execute("INSERT INTO users (id, email, password_hash, role, created_at) VALUES ($1, 'ada', '', 'user', 0)",
            {std::string_view(user_.to_string())});
    execute("INSERT INTO flows (id, user_id, name, state, version, definition, created_at, updated_at) VALUES ($1, $2, 'f', 'active', 1, '{}', 0, 0)",
            {std::string_view(flow_), std::string_view(user_.to_string())});
  }
  void TearDown() override {
    database_.reset();
    std::filesystem::remove_all(root_);
  }

  void execute(std::string_view sql, std::initializer_list<store::Param> params) {
    const auto written = database_->write([&](store::Transaction& transaction) -> Result<> {
      auto changed = transaction.execute(sql, params);
      if (!changed) return std::unexpected(changed.error());
      return {};
    });
    ASSERT_TRUE(written) << written.error().message;
  }
  void add_credential(const std::string& secret) {
    const auto connection = ConnectionId::make(now());
    const auto id = connection.to_string();
    const auto sealed = vault_->seal(Secret(secret), credential_purpose(connection, user_)).value();
    execute("INSERT INTO connections (id, user_id, provider, name, auth_type, state, created_at, updated_at) "
            "VALUES ($1, $2, 'github', $1, 'token', 'active', 0, 0)", {std::string_view(id), std::string_view(user_.to_string())});
    execute("INSERT INTO credentials (id, connection_id, version, state, sealed, created_at) VALUES ($1, $1, 1, 'active', $2, 0)",
            {std::string_view(id), store::Blob{sealed}});
  }
  void add_watch(const std::string& envelope, WatchId id) {
    execute("INSERT INTO watches (id, flow_id, user_id, flow_version, node_id, provider, trigger_name, params, token, secret, state_version, "
            "status, created_at) VALUES ($1, $2, $3, 1, 'n', 'github', 'issues', '{}', $1, $4, 1, 'active', 0)",
            {std::string_view(id.to_string()), std::string_view(flow_), std::string_view(user_.to_string()), store::Blob{envelope}});
  }
  void add_watch(const std::string& secret) {
    const auto id = WatchId::make(now());
    add_watch(vault_->seal(Secret(secret), watch_purpose(id, user_)).value(), id);
  }
  static Timestamp now() { return system_clock().now(); }

  // Everything opens, and to what it was.
  void expect_all(const Vault& vault, std::size_t count) {
    std::size_t seen = 0;
    const auto read = database_->read([&](store::Transaction& transaction) -> Result<> {
      seen = 0;
      auto rows = transaction.execute("SELECT id, secret FROM watches ORDER BY id", {}, [&](const store::Row& row) {
        ++seen;
        const auto opened = vault.open_envelope(row.blob(1), watch_purpose(*WatchId::parse(row.text(0)), user_));
        EXPECT_TRUE(opened && opened->reveal() == "watch-secret");
      });
      if (!rows) return std::unexpected(rows.error());
      rows = transaction.execute("SELECT id, sealed FROM credentials ORDER BY id", {}, [&](const store::Row& row) {
        ++seen;
        const auto opened = vault.open_envelope(row.blob(1), credential_purpose(*ConnectionId::parse(row.text(0)), user_));
        EXPECT_TRUE(opened && opened->reveal() == "ghp_secret");
      });
      if (!rows) return std::unexpected(rows.error());
      return {};
    });
    EXPECT_TRUE(read);
    EXPECT_EQ(seen, count);
  }
  Result<std::int64_t> reseal(const Vault& vault) { return reseal_all(*database_, vault, [](const auto&) {}); }
  std::int64_t count(const KeyName& name) { return (*count_keys(*database_))[name]; }
  KeyProvider& local() { return *vault_->providers().front(); }

  std::filesystem::path root_;
  const UserId user_ = UserId::make(system_clock().now());
  const std::string flow_ = FlowId::make(system_clock().now()).to_string();
  std::unique_ptr<Vault> vault_;
  support::TestDatabase place_;
  std::unique_ptr<store::Database> database_;
};

TEST_F(ResealTest, MovesEverythingToTheNewKeyOnce) {
  for (int i = 0; i < 150; ++i) add_watch("watch-secret");
  for (int i = 0; i < 130; ++i) add_credential("ghp_secret");
  const KeyName old{"local", local().keys()->back().id};
  EXPECT_EQ(count(old), 280);
  EXPECT_EQ(reseal(*vault_).value(), 0) << "all are present";
  const KeyName fresh{"local", local().rotate().value()};
  std::int64_t reported = 0;
  EXPECT_EQ(reseal_all(*database_, *vault_, [&](const ResealProgress& progress) { reported = std::max(reported, progress.sealed_anew); }).value(), 280);
  EXPECT_EQ(reported, 150);
  EXPECT_EQ(count(old), 0);
  EXPECT_EQ(count(fresh), 280);
  expect_all(*vault_, 280);
  ASSERT_TRUE(local().drop(old.key_id));
  expect_all(*vault_, 280);
}

TEST_F(ResealTest, GoesOnWhereItWasStopped) {
  for (int i = 0; i < 350; ++i) add_watch("watch-secret");
  ASSERT_TRUE(local().rotate());
  support::FaultyDatabase faulty(std::move(database_));
  faulty.arm(support::Fault::refused, 3);
  EXPECT_FALSE(reseal_all(faulty, *vault_, [](const auto&) {}));
  faulty.arm(support::Fault::refused, 1 << 30);
  EXPECT_EQ(reseal_all(faulty, *vault_, [](const auto&) {}).value(), 150);
  faulty.arm(support::Fault::answer_lost, 1);
  ASSERT_TRUE(local().rotate());
  EXPECT_FALSE(reseal_all(faulty, *vault_, [](const auto&) {}));
  EXPECT_EQ(reseal_all(faulty, *vault_, [](const auto&) {}).value(), 250) << "the first hundred were written";
  database_ = store::open(place_.url()).value();
}

// A host that writes the row between the reading and the writing.
TEST_F(ResealTest, LeavesWhatWasChangedMeanwhile) {
  const auto id = WatchId::make(now());
  add_watch(vault_->seal(Secret(std::string("old")), watch_purpose(id, user_)).value(), id);
  ASSERT_TRUE(local().rotate());
  bool changed = false;
  class Racing final : public store::Database {
   public:
    Racing(store::Database& inner, std::function<void()> before) : inner_(inner), before_(std::move(before)) {}
    Result<> write(const store::Work& work) override {
      before_();
      return inner_.write(work);
    }
    Result<> read(const store::Work& work) override { return inner_.read(work); }
    Result<> run_script(std::string_view sql) override { return inner_.run_script(sql); }
    [[nodiscard]] std::string_view dialect() const override { return inner_.dialect(); }
    Result<store::Space> space() override { return inner_.space(); }
    Result<std::int64_t> shrink(std::int64_t bytes) override { return inner_.shrink(bytes); }
    Result<> compact() override { return inner_.compact(); }
    [[nodiscard]] bool is_shared() const override { return inner_.is_shared(); }
    Result<bool> is_held(std::string_view place) override { return inner_.is_held(place); }

   private:
    store::Database& inner_;
    std::function<void()> before_;
  } racing(*database_, [&] {
    if (std::exchange(changed, true)) return;
    const auto anew = vault_->seal(Secret(std::string("watch-secret")), watch_purpose(id, user_)).value();
    execute("UPDATE watches SET secret = $2 WHERE id = $1", {std::string_view(id.to_string()), store::Blob{anew}});
  });
  EXPECT_EQ(reseal_all(racing, *vault_, [](const auto&) {}).value(), 0);
  expect_all(*vault_, 1);
}

// What Patchbay 0.1 sealed: of format 1, without an owner.
TEST_F(ResealTest, MovesFormat1) {
  std::ofstream(root_ / "key") << "k1 " + std::string(64, 'a') + "\n";
  const auto id = WatchId::parse("01900000-0000-7000-8000-000000000001").value();
  add_watch(*from_hex("01026b31070707070707070707070707213021b92deadd38f25ef4449d3c38ecfe97ddab03547e617f3a37d2"), id);
  EXPECT_EQ(count({"local", "k1"}), 1);
  expect_all(*vault_, 1);
  EXPECT_EQ(reseal(*vault_).value(), 1);
  expect_all(*vault_, 1);
  EXPECT_EQ(reseal(*vault_).value(), 0);
}

TEST_F(ResealTest, MovesBetweenProviders) {
  for (int i = 0; i < 120; ++i) add_watch("watch-secret");
  TransitPlace transit;
  Vault::Parts parts{.providers = {}, .ring = nullptr, .failover = Failover::strict};
  parts.providers.push_back(transit.provider());
  parts.providers.push_back(make_local_keys(KeyRing::open({root_ / "key"}).value()));
  const Vault moved(std::move(parts));
  EXPECT_EQ(reseal(moved).value(), 120);
  EXPECT_EQ(count({"transit", "v1"}), 120);
  expect_all(moved, 120);

  transit.go_away();
  EXPECT_EQ(reseal(moved).error().code, Errc::unavailable);
}

TEST_F(ResealTest, SaysWhichRowDoesNotOpen) {
  const auto id = WatchId::make(now());
  add_watch(vault_->seal(Secret(std::string("x")), watch_purpose(id, UserId::make(now()))).value(), id);
  ASSERT_TRUE(local().rotate());
  const auto done = reseal(*vault_);
  EXPECT_EQ(done.error().code, Errc::denied);
  EXPECT_THAT(done.error().message, HasSubstr(id.to_string()));
}

}  // namespace
}  // namespace patchbay::vault
