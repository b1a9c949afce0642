#include "vault/records.hpp"
#include "vault_rig.hpp"

namespace patchbay::vault {
namespace {

using State = ConnectionState;
using std::chrono::hours;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Changes : public VaultRig {
 protected:
  Result<Connection> sign_in(const std::string& account, ConnectionId again = {}, Fields fields = {{"access_token", Secret("at")}}, Scopes scopes = {"repo"}) {
    return connections_->sign_in({.user = ada_, .provider = "github", .auth = "oauth", .name = account + " name", .connection = again,
                                  .fields = std::move(fields), .account_id = account, .account_name = account, .scopes = scopes, .expires = {}});
  }
  State state(ConnectionId id) { return connections_->find(id)->state; }
};

TEST_F(Changes, TheSameAccountIsLinkedOnce) {
  const auto first = sign_in("1").value();
  const auto second = sign_in("1").value();
  EXPECT_EQ(second.id, first.id);
  EXPECT_EQ(second.version, 2);
  EXPECT_NE(sign_in("2")->id, first.id);
  EXPECT_THAT(connections_->list(ada_).value(), SizeIs(2));
}

TEST_F(Changes, ARefreshTokenThatDoesNotComeAgainIsKept) {
  const auto id = sign_in("1", {}, {{"access_token", Secret("a1")}, {"refresh_token", Secret("r1")}})->id;
  sign_in("1", id, {{"access_token", Secret("a2")}}).value();
  const auto fields = connections_->fields(id).value();
  EXPECT_EQ(fields.at("access_token").reveal(), "a2");
  EXPECT_EQ(fields.at("refresh_token").reveal(), "r1");
}

TEST_F(Changes, AnotherAccountDoesNotTakeItsPlace) {
  const auto id = sign_in("1")->id;
  const auto other = sign_in("2", id);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Errc::conflict);
  EXPECT_THAT(other.error().message, HasSubstr("is the account 1, and this is 2"));
}

TEST_F(Changes, SigningInAgainMendsItAndWhoWaitsHearsOfIt) {
  std::vector<ConnectionId> heard;
  connections_->on_active([&](ConnectionId id) { heard.push_back(id); });
  const auto id = sign_in("1")->id;
  ASSERT_TRUE(connections_->refused(id, 1, "revoked"));
  EXPECT_EQ(state(id), State::pending_reauth);
  EXPECT_THAT(heard, IsEmpty());
  sign_in("1", id).value();
  EXPECT_EQ(state(id), State::active);
  EXPECT_THAT(heard, ElementsAre(id));
}

TEST_F(Changes, AnOldRefusalDoesNotTouchANewToken) {
  const auto id = sign_in("1")->id;
  sign_in("1").value();
  ASSERT_TRUE(connections_->refused(id, 1, "revoked"));
  EXPECT_EQ(state(id), State::active);
}

TEST_F(Changes, ItsOwnerSwitchesItOffAndOn) {
  const auto id = sign_in("1")->id;
  EXPECT_EQ(connections_->disconnect(bob_, id).error().code, Errc::not_found);
  EXPECT_EQ(connections_->disconnect(ada_, id)->state, State::disconnected);
  EXPECT_EQ(refused(request("github", id)).code, Errc::unauthenticated);
  EXPECT_EQ(connections_->reconnect(ada_, id)->state, State::active);
  ASSERT_TRUE(connections_->refused(id, 1, "revoked"));
  EXPECT_EQ(connections_->reconnect(ada_, id).error().code, Errc::conflict) << "only a sign-in mends that";
}

TEST_F(Changes, ItsOwnerIsTold) {
  const auto id = sign_in("1")->id;
  ASSERT_TRUE(connections_->refused(id, 1, "the token was revoked"));
  auto notes = list_notifications(*database_, ada_, 10, "").value();
  ASSERT_THAT(notes, SizeIs(1));
  EXPECT_EQ(notes[0].subject, id.to_string());
  EXPECT_THAT(notes[0].message, HasSubstr("the token was revoked"));
  EXPECT_EQ(mark_read(*database_, bob_, notes[0].id, clock_.now()).error().code, Errc::not_found);
  ASSERT_TRUE(mark_read(*database_, ada_, notes[0].id, clock_.now()));
  EXPECT_TRUE(list_notifications(*database_, ada_, 10, "")->at(0).read);
  EXPECT_THAT(list_notifications(*database_, bob_, 10, "").value(), IsEmpty());
}

TEST_F(Changes, EachIsInTheAuditLog) {
  const auto id = sign_in("1")->id;
  ASSERT_TRUE(connections_->refused(id, 1, "revoked"));
  sign_in("1", id).value();
  ASSERT_TRUE(connections_->remove(ada_, id));
  std::vector<std::string> actions;
  const auto entries = list_audit_entries(*database_, ada_, 10, "").value();
  for (const auto& entry : entries) actions.push_back(entry.action);
  EXPECT_THAT(actions, ElementsAre("connection.removed", "connection.updated", "connection.state", "connection.state", "connection.created"));
}

TEST_F(Changes, WhatItMayDoIsKeptTrackOf) {
  const auto id = sign_in("1")->id;
  sign_in("1", id, {{"access_token", Secret("a")}}, parse_scopes("repo gist")).value();
  ASSERT_TRUE(connections_->lacks(id, {"workflow"}));
  EXPECT_EQ(state(id), State::needs_reconsent);
  sign_in("1", id, {{"access_token", Secret("a")}}, parse_scopes("gist workflow")).value();
  std::vector<std::string> kinds;
  const auto changes = grant_changes(*database_, id).value();
  for (const auto& change : changes) kinds.push_back(change.kind + " " + to_text(change.scopes));
  EXPECT_THAT(kinds, ElementsAre("expanded gist", "reconsent_requested workflow", "expanded workflow", "downgraded repo", "reconsent_completed gist workflow"));
}

TEST_F(Changes, OneThatIsReplacedKeepsNoSecret) {
  const auto id = sign_in("1")->id;
  sign_in("1", id).value();
  std::vector<std::size_t> sizes;
  ASSERT_TRUE(database_->read([&](store::Transaction& transaction) -> Result<> {
    sizes.clear();
    (void)transaction.execute("SELECT sealed FROM credentials ORDER BY version", {}, [&](const store::Row& row) { sizes.push_back(row.blob(0).size()); });
    return {};
  }));
  ASSERT_THAT(sizes, SizeIs(2));
  EXPECT_EQ(sizes[0], 0U);
  EXPECT_GT(sizes[1], 0U);
}

}  // namespace
}  // namespace patchbay::vault
