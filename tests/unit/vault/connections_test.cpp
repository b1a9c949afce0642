#include "vault_rig.hpp"

namespace patchbay::vault {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

using ConnectionsTest = VaultRig;

TEST_F(ConnectionsTest, PutsTheTokenWhereTheManifestSays) {
  const auto octo = connect(ada_, "github", "octo", "ghp_1");
  const auto team = connect(ada_, "discord", "team", "bot_1");
  EXPECT_EQ(octo.state, ConnectionState::active);
  for (int start = 0; start < 2; ++start) {
    auto to_github = request("github", octo.id);
    ASSERT_TRUE(connections_->authorize(to_github));
    EXPECT_THAT(to_github.headers, ElementsAre(Pair("Authorization", "Bearer ghp_1")));
    auto to_discord = request("discord", team.id);
    ASSERT_TRUE(connections_->authorize(to_discord));
    EXPECT_THAT(to_discord.headers, ElementsAre(Pair("Authorization", "Bot bot_1")));
    restart();  // and again from the database
  }
}

TEST_F(ConnectionsTest, ReplacesWhatThePluginPutThere) {
  const auto octo = connect(ada_, "github", "octo", "ghp_1");
  auto sent = request("github", octo.id);
  sent.headers = {{"AUTHORIZATION", "Bearer stolen"}, {"Accept", "*/*"}, {"authorization", "x"}};
  ASSERT_TRUE(connections_->authorize(sent));
  EXPECT_THAT(sent.headers, ElementsAre(Pair("Accept", "*/*"), Pair("Authorization", "Bearer ghp_1")));
}

TEST_F(ConnectionsTest, GivesNoProviderAnothersCredentials) {
  const auto octo = connect(ada_, "github", "octo", "ghp_1");
  EXPECT_EQ(refused(request("discord", octo.id)).code, Errc::denied);
  EXPECT_EQ(refused(request("", octo.id)).code, Errc::denied);
}

TEST_F(ConnectionsTest, RefusesAConnectionThatIsNotActive) {
  const auto octo = connect(ada_, "github", "octo", "ghp_1");
  execute("UPDATE connections SET state = 'pending_reauth' WHERE id = $1", {std::string_view(octo.id.to_string())});
  restart();
  const auto refusal = refused(request("github", octo.id));
  EXPECT_EQ(refusal.code, Errc::unauthenticated);
  EXPECT_THAT(refusal.message, HasSubstr("pending_reauth"));
  EXPECT_EQ(refused(request("github", ConnectionId::make(clock_.now()))).code, Errc::unauthenticated);
}

TEST_F(ConnectionsTest, RefusesAnAuthThatTheConnectionIsNot) {
  const auto octo = connect(ada_, "github", "octo", "ghp_1");
  auto own = request("github", octo.id);
  own.auth = "account";
  EXPECT_TRUE(connections_->authorize(own));
  auto other = request("github", octo.id);
  other.auth = "app";
  EXPECT_EQ(refused(other).code, Errc::unauthenticated);
}

TEST_F(ConnectionsTest, SendsNothingWithoutItsCredentials) {
  const auto octo = connect(ada_, "github", "octo", "ghp_1");
  execute("UPDATE connections SET auth_type = 'oauth1' WHERE id = $1", {std::string_view(octo.id.to_string())});
  const auto team = connect(ada_, "discord", "team", "bot_1");
  restart();
  EXPECT_EQ(refused(request("github", octo.id)).code, Errc::unauthenticated) << "its auth type is gone";
  auto to_discord = request("discord", team.id);
  EXPECT_TRUE(connections_->authorize(to_discord)) << "others go on";
  load_plugins(root_ / "none");
  restart();
  EXPECT_EQ(refused(request("discord", team.id)).code, Errc::unauthenticated) << "its plugin is gone";
}

TEST_F(ConnectionsTest, DoesNotStartOnASwappedCredential) {
  const auto octo = connect(ada_, "github", "octo", "ghp_1");
  const auto other = connect(bob_, "github", "other", "ghp_2");
  execute(
      "UPDATE credentials SET sealed = (SELECT sealed FROM credentials WHERE connection_id = $1) "
      "WHERE connection_id = $2",
      {std::string_view(octo.id.to_string()), std::string_view(other.id.to_string())});
  Connections restarted(*database_, *vault_, clock_);
  restarted.use_manifests(*registry_);
  const auto loaded = restarted.load();
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, Errc::denied);
  EXPECT_THAT(loaded.error().message, HasSubstr("'other'"));
}

TEST_F(ConnectionsTest, KeepsTheTokenOutOfTheDatabase) {
  connect(ada_, "github", "octo", "ghp_very_secret");
  std::string stored;
  ASSERT_TRUE(database_->read([&](store::Transaction& transaction) -> Result<> {
    auto rows = transaction.execute("SELECT sealed FROM credentials", {},
                                    [&](const store::Row& row) { stored += row.blob(0); });
    if (!rows) return std::unexpected(rows.error());
    return {};
  }));
  EXPECT_THAT(stored, Not(IsEmpty()));
  EXPECT_THAT(stored, Not(HasSubstr("ghp_very_secret")));
}

TEST_F(ConnectionsTest, KeepsAwkwardTokensWhole) {
  const std::string awkward = "quo\"te back\\slash {token} ü €";
  const auto octo = connect(ada_, "github", "octo", awkward);
  restart();
  auto sent = request("github", octo.id);
  ASSERT_TRUE(connections_->authorize(sent));
  EXPECT_THAT(sent.headers, ElementsAre(Pair("Authorization", "Bearer " + awkward)));
}

TEST_F(ConnectionsTest, SaysWhatIsWrongWithANewOne) {
  const std::map<std::string, Secret> token{{"token", Secret("x")}};
  for (const auto& [wanted, word] : std::vector<std::pair<NewConnection, std::string>>{
           {{"gitlab", "a", "token", token}, "'gitlab'"},
           {{"github", "a", "oauth1", token}, "it has: token"},
           {{"timer", "a", "token", token}, "it has: none"},
           {{"github", "a", "token", {}}, "auth.token"},
           {{"github", "a", "token", {{"token", Secret("")}}}, "auth.token"},
           {{"github", "a", "token", {{"token", Secret("x")}, {"host", Secret("y")}}}, "auth.host"},
           {{"github", "a", "token", {{"token", Secret("x\r\nHost: evil")}}}, "auth.token"},
           {{"github", "a", "token", {{"token", Secret(std::string("x\0y", 3))}}}, "auth.token"},
           {{"github", "a", "token", {{"token", Secret("\xFF\xFE")}}}, "auth.token"},
           {{"github", "a", "token", {{"token", Secret(std::string((16 << 10) + 1, 'x'))}}}, "auth.token"},
           {{"github", "", "token", token}, "name"},
           {{"github", "a\nb", "token", token}, "name"},
           {{"github", "\xFF", "token", token}, "name"},
           {{"github", std::string(81, 'x'), "token", token}, "name"}}) {
    const auto refusal_of = refusal(wanted);
    EXPECT_EQ(refusal_of.code, Errc::invalid) << refusal_of.message;
    EXPECT_THAT(refusal_of.message, HasSubstr(word));
    EXPECT_THAT(refusal_of.message, Not(HasSubstr("evil")));
  }
  EXPECT_THAT(connections_->list(ada_).value(), IsEmpty());
}

TEST_F(ConnectionsTest, HasEachNameOnceAUser) {
  connect(ada_, "github", "octo", "ghp_1");
  EXPECT_EQ(refusal({"discord", "octo", "token", {{"token", Secret("x")}}}).code, Errc::conflict);
  connect(bob_, "github", "octo", "ghp_2");
}

TEST_F(ConnectionsTest, ShowsEachUserTheirOwn) {
  const auto octo = connect(ada_, "github", "octo", "ghp_1");
  EXPECT_THAT(connections_->list(ada_).value(), SizeIs(1));
  EXPECT_THAT(connections_->list(bob_).value(), IsEmpty());
  EXPECT_EQ(connections_->find(ada_, octo.id).value().name, "octo");
  EXPECT_EQ(connections_->find_by_name(ada_, "octo").value().id, octo.id);
  EXPECT_EQ(connections_->find(bob_, octo.id).error().code, Errc::not_found);
  EXPECT_EQ(connections_->find_by_name(bob_, "octo").error().code, Errc::not_found);
}

TEST_F(ConnectionsTest, ForgetsARemovedOne) {
  const auto octo = connect(ada_, "github", "octo", "ghp_1");
  ASSERT_TRUE(connections_->remove(ada_, octo.id));
  EXPECT_EQ(refused(request("github", octo.id)).code, Errc::unauthenticated);
  EXPECT_EQ(connections_->remove(ada_, octo.id).error().code, Errc::not_found);
  connect(ada_, "github", "octo", "ghp_2");
}

TEST_F(ConnectionsTest, KeepsOneThatAnActiveFlowUses) {
  const auto octo = connect(ada_, "github", "octo", "ghp_1");
  add_watch(octo.id, "active");
  EXPECT_EQ(connections_->remove(ada_, octo.id).error().code, Errc::conflict);
  EXPECT_EQ(connections_->remove(bob_, octo.id).error().code, Errc::not_found) << "he is not told that it exists";
  auto sent = request("github", octo.id);
  EXPECT_TRUE(connections_->authorize(sent));
}

TEST_F(ConnectionsTest, LetsOneGoThatOnlyAStoppingWatchNames) {
  const auto octo = connect(ada_, "github", "octo", "ghp_1");
  add_watch(octo.id, "stopping");
  EXPECT_TRUE(connections_->remove(ada_, octo.id));
}

}  // namespace
}  // namespace patchbay::vault
