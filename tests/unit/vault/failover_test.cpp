// Sealing and opening with a provider that goes away, and with another one behind it.
#include <gmock/gmock.h>

#include "core/time.hpp"
#include "unit/vault/key_places.hpp"
#include "vault/vault.hpp"

namespace patchbay::vault {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

const Purpose kPurpose{"watch/1/ada"};

class FailoverTest : public WithKeyPlace {
 protected:
  void SetUp() override {
    WithKeyPlace::SetUp();
    if (place_) local_.emplace(root_);
  }
  std::unique_ptr<Vault> vault(Failover failover) {
    Vault::Parts parts{.providers = {}, .ring = nullptr, .failover = failover, .clock = clock_};
    parts.providers.push_back(place_->provider());
    parts.providers.push_back(local_->provider());
    return std::make_unique<Vault>(std::move(parts));
  }
  static Result<std::string> seal(const Vault& vault) { return vault.seal(Secret(std::string("ghp_secret")), kPurpose); }

  ManualClock clock_;
  std::optional<LocalPlace> local_;
};

TEST_P(FailoverTest, StrictWaitsForTheFirstOne) {
  const auto strict = vault(Failover::strict);
  const auto envelope = seal(*strict).value();
  EXPECT_THAT(Vault::keys_of(envelope), SizeIs(1));
  place_->go_away();
  EXPECT_TRUE(may_pass(seal(*strict).error().code));
  EXPECT_TRUE(may_pass(strict->open_envelope(envelope, kPurpose).error().code));
  EXPECT_FALSE(strict->present_keys());
  place_->come_back();
  EXPECT_EQ(strict->open_envelope(envelope, kPurpose)->reveal(), "ghp_secret");
  EXPECT_TRUE(seal(*strict));
}

TEST_P(FailoverTest, FallbackGoesOnWithTheOthers) {
  const auto fallback = vault(Failover::fallback);
  const auto envelope = seal(*fallback).value();
  EXPECT_THAT(Vault::keys_of(envelope), SizeIs(2));
  place_->go_away();
  EXPECT_EQ(fallback->open_envelope(envelope, kPurpose)->reveal(), "ghp_secret");
  const auto meanwhile = seal(*fallback).value();
  EXPECT_THAT(Vault::keys_of(meanwhile), SizeIs(1));
  EXPECT_FALSE(fallback->present_keys()) << "what is sealed anew would lose its first key";

  place_->come_back();
  clock_.advance(std::chrono::seconds(10));
  EXPECT_EQ(fallback->open_envelope(meanwhile, kPurpose)->reveal(), "ghp_secret");
  const auto present = fallback->present_keys().value();
  EXPECT_FALSE(Vault::is_present(meanwhile, present)) << "re-encrypt gives it its first key";
  EXPECT_TRUE(Vault::is_present(seal(*fallback).value(), present));
}

TEST_P(FailoverTest, EachBitOfAnEnvelopeForTwoCounts) {
  const auto fallback = vault(Failover::fallback);
  const auto envelope = seal(*fallback).value();
  for (std::size_t bit = 0; bit < envelope.size() * 8; ++bit) {
    auto changed = envelope;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    const auto opened = fallback->open_envelope(changed, kPurpose);
    ASSERT_FALSE(opened) << "bit " << bit;
    ASSERT_EQ(opened.error().code, Errc::denied) << opened.error().message;
  }
}

// local was first, and what it sealed is still there: no fallback is needed to open it.
TEST_P(FailoverTest, StrictOpensWhatTheSecondOneSealed) {
  Vault::Parts parts;
  parts.providers.push_back(local_->provider());
  const auto envelope = seal(Vault(std::move(parts))).value();
  const auto strict = vault(Failover::strict);
  place_->go_away();
  EXPECT_TRUE(strict->open_envelope(envelope, kPurpose));
  place_->come_back();
  EXPECT_FALSE(Vault::is_present(envelope, strict->present_keys().value())) << "re-encrypt moves it";
}

INSTANTIATE_TEST_SUITE_P(All, FailoverTest, ::testing::Values("transit", "vault", "pkcs11"),
                         [](const auto& info) { return std::string(info.param); });

// One that does not answer would hold each call up for its time limit.
TEST(Rest, AProviderThatIsAwayIsLeftAloneForAWhile) {
  TransitPlace transit;
  const auto folder = std::filesystem::temp_directory_path() / ("rest-test-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  LocalPlace local(folder);
  ManualClock clock;
  Vault::Parts parts{.providers = {}, .ring = nullptr, .failover = Failover::fallback, .clock = clock};
  parts.providers.push_back(transit.provider());
  parts.providers.push_back(local.provider());
  const Vault vault(std::move(parts));
  const Secret secret(std::string("ghp_secret"));
  const auto envelope = vault.seal(secret, kPurpose).value();
  transit.go_away();
  ASSERT_TRUE(vault.open_envelope(envelope, kPurpose));
  const int asked = transit.server().requests();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(vault.open_envelope(envelope, kPurpose));
    ASSERT_TRUE(vault.seal(secret, kPurpose));
  }
  EXPECT_EQ(transit.server().requests(), asked);
  clock.advance(std::chrono::seconds(10));
  transit.come_back();
  EXPECT_THAT(Vault::keys_of(vault.seal(secret, kPurpose).value()), SizeIs(2));
  std::filesystem::remove_all(folder);
}

// A data key that comes back as it was is no outage: nothing is sealed at all.
TEST(Rest, AProviderThatDoesNotEncryptIsNoneToFallBackFrom) {
  TransitPlace transit;
  transit.server().set_trouble(support::TransitServer::Trouble::echoes);
  Vault::Parts parts;
  parts.providers.push_back(transit.provider());
  parts.failover = Failover::fallback;
  EXPECT_EQ(Vault(std::move(parts)).seal(Secret(std::string("ghp_secret")), kPurpose).error().code, Errc::internal);
}

}  // namespace
}  // namespace patchbay::vault
