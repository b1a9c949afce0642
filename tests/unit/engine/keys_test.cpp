// Watches whose secrets are under keys that change, or that a provider over the network keeps.
#include "support/transit_server.hpp"
#include "unit/engine/engine_rig.hpp"
#include "vault/keys/transit_keys.hpp"
#include "vault/reseal.hpp"

namespace patchbay::engine {
namespace {

using Trouble = support::TransitServer::Trouble;

class RemoteKeys : public EngineRig {
 protected:
  RemoteKeys() { ::setenv("PATCHBAY_VAULT_TRANSIT_TOKEN", "s.token", 1); }
  ~RemoteKeys() override { ::unsetenv("PATCHBAY_VAULT_TRANSIT_TOKEN"); }
  std::unique_ptr<vault::Vault> make_vault() override {
    vault::VaultSettings settings;
    settings.providers = {"transit"};
    settings.transit.url = transit_.url();
    return *vault::Vault::open(settings);
  }
  void about_to_start() override { transit_.set_trouble(trouble_at_start_); }

  support::TransitServer transit_;
  Trouble trouble_at_start_ = Trouble::none;
};

TEST_F(RemoteKeys, AnOutageAfterTheStartStopsNothing) {
  activate(demo());
  for (int start = 0; start < 2; ++start) {
    transit_.set_trouble(Trouble::sealed);
    const int asked = transit_.requests();
    const auto id = "d-" + std::to_string(start);
    EXPECT_EQ(deliver(issue(id), id) / 100, 2);
    EXPECT_TRUE(wait_for_runs(static_cast<std::size_t>(start) + 1, "completed"));
    EXPECT_EQ(transit_.requests(), asked) << "nothing on the loop waits for it";
    transit_.set_trouble(Trouble::none);
    crash();
    boot();
  }
}

TEST_F(RemoteKeys, AWatchThatDidNotOpenIsOpenedWhenItCan) {
  activate(demo());
  crash();
  trouble_at_start_ = Trouble::sealed;
  boot();
  EXPECT_EQ(deliver(issue("early"), "d-1"), 503) << "senders try again";
  EXPECT_EQ(messages(), 0U);
  transit_.set_trouble(Trouble::none);
  int status = 0;
  for (int attempt = 0; attempt < 50 && status / 100 != 2; ++attempt) {
    status = deliver(issue("early"), "d-1");
    loop_->run_until([] { return false; }, std::chrono::milliseconds{20});
  }
  EXPECT_EQ(status / 100, 2);
  EXPECT_TRUE(wait_for_runs(1, "completed"));
}

TEST_F(RemoteKeys, NothingIsSwitchedOnWhileNothingCanBeSealed) {
  const auto created = engine_->flows().create(user_, demo());
  transit_.set_trouble(Trouble::sealed);
  const auto refused = blocking([&] { return engine_->flows().activate(user_, created->id); });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error.code, Errc::unavailable);
  EXPECT_TRUE(hook_url_.empty());
  transit_.set_trouble(Trouble::none);
  EXPECT_TRUE(blocking([&] { return engine_->flows().activate(user_, created->id); }));
}

// What is in memory is not of the envelope that was read at the start.
TEST_F(EngineRig, AKeyIsDroppedUnderARunningEngine) {
  activate(demo());
  auto& keys = *vault_->providers().front();
  const auto old = keys.keys()->back().id;
  ASSERT_TRUE(keys.rotate());
  ASSERT_EQ(vault::reseal_all(*database_, *vault_, [](const auto&) {}).value(), 3);
  ASSERT_TRUE(keys.drop(old));
  EXPECT_EQ(deliver(issue("later"), "d-1") / 100, 2);
  EXPECT_TRUE(wait_for_runs(1, "completed"));
  crash();
  boot();
  EXPECT_EQ(deliver(issue("again"), "d-2") / 100, 2);
  EXPECT_TRUE(wait_for_runs(2, "completed"));
}

}  // namespace
}  // namespace patchbay::engine
