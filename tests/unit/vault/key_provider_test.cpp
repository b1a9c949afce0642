// What every key provider promises (keys/key_provider.hpp), by all that there are.
#include <fstream>

#include <gmock/gmock.h>

#include "unit/vault/key_places.hpp"

namespace patchbay::vault {
namespace {

using ::testing::HasSubstr;

class KeyProviderTest : public WithKeyPlace {
 protected:
  void SetUp() override {
    WithKeyPlace::SetUp();
    if (place_) provider_ = place_->provider();
  }
  void TearDown() override {
    provider_.reset();
    WithKeyPlace::TearDown();
  }

  Result<Secret> unwrap(const WrappedKey& key, const std::string& bound = "watch/1/ada") {
    const UnwrapOrder order{key.key_id, key.bytes, bound};
    return std::move(provider_->unwrap({&order, 1}).front());
  }
  WrappedKey wrap() { return provider_->wrap(data_key_, "watch/1/ada").value(); }
  std::vector<KeyState> states() {
    std::vector<KeyState> states;
    const auto keys = provider_->keys().value();
    for (const auto& key : keys) states.push_back(key.state);
    return states;
  }

  const Secret data_key_ = Secret::random(32);
  std::unique_ptr<KeyProvider> provider_;
};

TEST_P(KeyProviderTest, UnwrapsWhatItWrapped) {
  const auto wrapped = wrap();
  EXPECT_EQ(unwrap(wrapped)->reveal(), data_key_.reveal());
  EXPECT_EQ(wrapped.bytes.find(data_key_.reveal()), std::string::npos);
  EXPECT_NE(wrap().bytes, wrapped.bytes);
  EXPECT_EQ(provider_->keys()->back().id, wrapped.key_id);
  provider_.reset();
  provider_ = place_->provider();
  EXPECT_EQ(unwrap(wrapped)->reveal(), data_key_.reveal()) << "after a restart";
}

TEST_P(KeyProviderTest, RefusesWhatWasMovedOrChanged) {
  const auto wrapped = wrap();
  EXPECT_EQ(unwrap(wrapped, "watch/1/bob").error().code, Errc::denied);
  for (std::size_t bit = 0; bit < wrapped.bytes.size() * 8; ++bit) {
    auto changed = wrapped;
    changed.bytes[bit / 8] = static_cast<char>(changed.bytes[bit / 8] ^ (1 << (bit % 8)));
    const auto refused = unwrap(changed);
    ASSERT_FALSE(refused) << "bit " << bit;
    ASSERT_EQ(refused.error().code, Errc::denied) << refused.error().message;
  }
  EXPECT_EQ(unwrap({wrapped.key_id, ""}).error().code, Errc::denied);
  EXPECT_EQ(unwrap({wrapped.key_id, wrapped.bytes.substr(0, 20)}).error().code, Errc::denied);
  EXPECT_EQ(unwrap({"k0", wrapped.bytes}).error().code, Errc::denied);
  EXPECT_TRUE(unwrap(wrapped));
}

TEST_P(KeyProviderTest, KeepsOldKeysReadableUntilTheyAreDropped) {
  const auto old = wrap();
  const auto running = place_->provider();  // of a host that goes on
  const auto made = provider_->rotate();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(wrap().key_id, *made);
  EXPECT_EQ(running->wrap(data_key_, "")->key_id, *made) << "without a restart";
  EXPECT_EQ(unwrap(old)->reveal(), data_key_.reveal());
  EXPECT_EQ(states(), (std::vector{KeyState::readable, KeyState::active}));

  EXPECT_EQ(unwrap({*made, old.bytes}).error().code, Errc::denied) << "a wrong key id";
  EXPECT_EQ(provider_->drop(*made).error().code, Errc::conflict);
  EXPECT_EQ(provider_->drop("ffffffffffffffffffff").error().code, Errc::not_found);
  const auto dropped = provider_->drop(old.key_id);
  ASSERT_TRUE(dropped) << dropped.error().message;
  EXPECT_EQ(unwrap(old).error().code, Errc::denied);
  EXPECT_TRUE(unwrap(wrap()));
}

TEST_P(KeyProviderTest, AnswersToManyInTheirOrder) {
  constexpr std::size_t kMany = 1203;
  std::vector<WrappedKey> wrapped;
  for (int i = 0; i < 3; ++i) wrapped.push_back(wrap());
  std::vector<UnwrapOrder> orders;
  for (std::size_t i = 0; i < kMany; ++i) orders.push_back({wrapped[i % 3].key_id, wrapped[i % 3].bytes, i % 100 == 7 ? "watch/2/ada" : "watch/1/ada"});
  const auto data_keys = provider_->unwrap(orders);
  ASSERT_EQ(data_keys.size(), kMany);
  for (std::size_t i = 0; i < kMany; ++i) {
    ASSERT_EQ(data_keys[i].has_value(), i % 100 != 7) << i;
    if (data_keys[i]) ASSERT_EQ(data_keys[i]->reveal(), data_key_.reveal());
    else ASSERT_EQ(data_keys[i].error().code, Errc::denied);
  }
}

TEST_P(KeyProviderTest, SaysWhenItIsAwayAndGoesOnWhenItIsBack) {
  if (!provider_->is_remote()) GTEST_SKIP() << "it is never away";
  const auto wrapped = wrap();
  place_->go_away();
  for (auto* provider : {provider_.get(), place_->provider().release()}) {
    EXPECT_TRUE(may_pass(provider->wrap(data_key_, "").error().code));
    const UnwrapOrder order{wrapped.key_id, wrapped.bytes, "watch/1/ada"};
    const auto refused = provider->unwrap({&order, 1});
    ASSERT_FALSE(refused.front());
    EXPECT_TRUE(may_pass(refused.front().error().code)) << refused.front().error().message;
    EXPECT_TRUE(may_pass(provider->keys().error().code));
    EXPECT_TRUE(may_pass(provider->rotate().error().code));
    if (provider != provider_.get()) delete provider;
  }
  place_->come_back();
  EXPECT_EQ(unwrap(wrapped)->reveal(), data_key_.reveal());
  EXPECT_TRUE(provider_->wrap(data_key_, ""));
}

INSTANTIATE_TEST_SUITE_P(All, KeyProviderTest, ::testing::Values("local", "transit", "vault", "pkcs11"),
                         [](const auto& info) { return std::string(info.param); });

// What only Transit has.
class TransitTest : public ::testing::Test {
 protected:
  Error wrap_error(const TransitSettings& settings) {
    const auto wrapped = make_transit_keys(settings).value()->wrap(Secret::random(32), "");
    return wrapped ? Error{Errc::internal, "it was wrapped"} : wrapped.error();
  }
  using Trouble = support::TransitServer::Trouble;
  TransitPlace place_;
};

TEST_F(TransitTest, TellsOutagesApart) {
  const auto settings = place_.settings();
  place_.server().set_trouble(Trouble::sealed);
  EXPECT_THAT(wrap_error(settings).message, HasSubstr("answers 503 to encrypt/patchbay: Vault is sealed"));
  EXPECT_EQ(wrap_error(settings).code, Errc::unavailable);
  place_.server().set_trouble(Trouble::no_token);
  EXPECT_EQ(wrap_error(settings).code, Errc::unavailable) << "another provider may help, an operator can";
  EXPECT_THAT(wrap_error(settings).message, HasSubstr("permission denied"));
  place_.server().set_trouble(Trouble::silent);
  auto hasty = settings;
  hasty.timeout = std::chrono::milliseconds(200);
  EXPECT_EQ(wrap_error(hasty).code, Errc::timeout);
  auto nobody = settings;
  nobody.url = "http://127.0.0.1:1";
  EXPECT_EQ(wrap_error(nobody).code, Errc::unavailable);
}

TEST_F(TransitTest, ReadsItsTokenAnewAtEachCall) {
  const auto file = std::filesystem::temp_directory_path() / ("transit-token-" + std::to_string(::getpid()));
  auto settings = place_.settings();
  settings.token_file = file;
  const auto keys = make_transit_keys(settings).value();
  EXPECT_THAT(keys->keys().error().message, HasSubstr("no token"));
  std::ofstream(file) << "s.old\n";
  EXPECT_THAT(keys->keys().error().message, HasSubstr("403"));
  std::ofstream(file) << "s.token\n";
  EXPECT_TRUE(keys->keys());
  std::filesystem::remove(file);
}

TEST_F(TransitTest, AsksForManyAtOnce) {
  const auto keys = place_.provider();
  const auto wrapped = keys->wrap(Secret::random(32), "").value();
  const std::vector<UnwrapOrder> orders(1200, UnwrapOrder{wrapped.key_id, wrapped.bytes, ""});
  const int before = place_.server().requests();
  ASSERT_EQ(keys->unwrap(orders).size(), orders.size());
  EXPECT_EQ(place_.server().requests() - before, 3);
}

TEST_F(TransitTest, TakesNoUnsafeAddress) {
  for (const auto* url : {"", "http://vault.example.com:8200", "http://127.0.0.1.example.com", "ftp://127.0.0.1", "http://localhosts"}) {
    auto settings = place_.settings();
    settings.url = url;
    EXPECT_EQ(make_transit_keys(settings).error().code, Errc::invalid) << url;
  }
  auto settings = place_.settings();
  settings.key = "a?b";
  EXPECT_EQ(make_transit_keys(settings).error().code, Errc::invalid);
}

}  // namespace
}  // namespace patchbay::vault
