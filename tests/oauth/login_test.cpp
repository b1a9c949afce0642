// How a connection comes to be: logins, refusals, other grants, and the ways in which providers differ.
#include <gmock/gmock.h>

#include "harness/clock.hpp"
#include "oauth/rig.hpp"

namespace patchbay::oauth {
namespace {

using nlohmann::json;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::SizeIs;

using Login = OAuth;

std::vector<std::string> scopes_of(const json& connection) { return connection.at("scopes"); }

TEST_F(Login, WithPkceMakesAConnection) {
  const auto made = expect_authorization();
  const std::string url = made.at("url");
  EXPECT_TRUE(url.starts_with(server_->url("/auth?"))) << url;
  EXPECT_EQ(harness::query_value(url, "response_type"), "code");
  EXPECT_EQ(harness::query_value(url, "client_id"), harness::kOAuthClient);
  EXPECT_EQ(harness::query_value(url, "redirect_uri"), callback_url());
  EXPECT_EQ(harness::query_value(url, "code_challenge_method"), "S256");
  EXPECT_EQ(harness::query_value(url, "code_challenge").size(), 43U);  // SHA-256, base64url
  EXPECT_GE(harness::query_value(url, "state").size(), 22U);           // 128 bits at least
  EXPECT_EQ(harness::query_value(url, "prompt"), "consent");
  for (const char* scope : {"openid", "offline_access", "notes.read", "notes.write"})
    EXPECT_THAT(harness::query_value(url, "scope"), HasSubstr(scope));
  EXPECT_TRUE(made.at("expires_at").is_string());
  EXPECT_EQ(authorization(made).at("status"), "pending");
  EXPECT_TRUE(authorization(made).at("connection").is_null());

  const auto page = sign_in(made);
  EXPECT_EQ(page.reply.status, 200) << page.reply.body;
  EXPECT_THAT(std::string(page.reply.header("content-type")), HasSubstr("text/html"));
  ASSERT_TRUE(wait_for_authorization(made, "completed"));
  const auto found = connection(authorization(made).at("connection"));
  EXPECT_EQ(found.at("provider"), "acme");
  EXPECT_EQ(found.at("name"), kAcme);
  EXPECT_EQ(found.at("state"), "active");
  EXPECT_EQ(found.at("account"), json({{"id", "u-ada"}, {"name", "ada"}}));
  EXPECT_THAT(scopes_of(found), IsSupersetOf({"notes.read", "notes.write"}));
  EXPECT_TRUE(found.at("expires_at").is_string());
  EXPECT_TRUE(found.at("error").is_null());
  const auto tested = test(found.at("id"));
  EXPECT_EQ(tested.at("ok"), true);
  EXPECT_EQ(tested.at("account").at("id"), "u-ada");
  EXPECT_EQ(server_->count("/token", 200), 1U);
}

TEST_F(Login, KeepsItsSecretsToItself) {
  connect();
  const auto code = harness::query_value(browser_.visited(callback_url()), "code");
  const std::string seen = host().log() + api_->get("/connections").dump() + browser_.visit(callback_url()).reply.body;
  const auto& folder = host().settings().folder;
  const auto database = harness::read_file(folder / "patchbay.db") + harness::read_file(folder / "patchbay.db-wal");
  for (const auto& secret : {code, std::string(harness::kOAuthSecret)}) {
    EXPECT_THAT(seen, Not(HasSubstr(secret)));
    EXPECT_THAT(database, Not(HasSubstr(secret)));
  }
  EXPECT_THAT(seen, Not(HasSubstr("Bearer ")));
}

TEST_F(Login, AStateIsGoodForOneCallback) {
  const auto id = connect();
  const auto before = server_->log_position();
  const auto again = http_.send("GET", browser_.visited(callback_url()));
  EXPECT_THAT(again.status, AnyOf(400, 403)) << again.body;
  EXPECT_EQ(server_->log_position(), before) << "the code was not even tried";
  EXPECT_EQ(connection(id).at("state"), "active");
  EXPECT_EQ(test(id).at("ok"), true);
}

TEST_F(Login, AForgedStateIsRefused) {
  const auto made = expect_authorization();
  for (const std::string query :
       {"?code=stolen&state=forged", "?code=stolen", "?state=", "", "?code=stolen&state=%00"}) {
    const auto reply = http_.send("GET", callback_url() + query);
    EXPECT_THAT(reply.status, AnyOf(400, 403)) << query << reply.body;
    EXPECT_THAT(reply.body, Not(HasSubstr("stolen")));
  }
  EXPECT_THAT(server_->log(), IsEmpty());
  EXPECT_EQ(authorization(made).at("status"), "pending");
}

// What comes to the callback is shown on a page: none of it as markup.
TEST_F(Login, TheCallbackIsNoEcho) {
  const auto made = expect_authorization();
  const auto state = harness::query_value(made.at("url"), "state");
  const auto reply =
      http_.send("GET", callback_url() + "?state=" + harness::url_escaped(state) +
                            "&error=%3Cscript%3Ealert(1)%3C/script%3E&error_description=%3Cb%3Eno%3C/b%3E");
  EXPECT_THAT(reply.status, AnyOf(400, 403));
  EXPECT_THAT(reply.body, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(reply.body, Not(HasSubstr("<b>no")));
}

// The setting's name is the host's to say.
TEST_F(Login, AnAuthorizationExpires) {
  begin({.more = "[oauth]\nauthorization_lifetime = \"1s\"\n"});
  const auto made = expect_authorization();
  ASSERT_TRUE(wait_for_authorization(made, "expired"));
  const auto before = server_->count("/token", 200);
  EXPECT_THAT(sign_in(made).reply.status, AnyOf(400, 403));
  EXPECT_EQ(server_->count("/token", 200), before);
  EXPECT_THAT(api_->get("/connections").at("data"), IsEmpty());
}

TEST_F(Login, WhoSaysNoIsNotConnected) {
  const auto made = expect_authorization();
  const auto page = sign_in(made, "ada", "&decision=deny");
  EXPECT_THAT(page.reply.status, AnyOf(400, 403)) << page.reply.body;
  ASSERT_TRUE(wait_for_authorization(made, "failed"));
  EXPECT_THAT(authorization(made).at("error").get<std::string>(), HasSubstr("access_denied"));
  EXPECT_TRUE(authorization(made).at("connection").is_null());
  EXPECT_THAT(api_->get("/connections").at("data"), IsEmpty());
}

TEST_F(Login, ACodeThatIsRefusedConnectsNobody) {
  const auto made = expect_authorization();
  const auto state = harness::query_value(made.at("url"), "state");
  EXPECT_THAT(http_.send("GET", callback_url() + "?code=made-up&state=" + harness::url_escaped(state)).status,
              AnyOf(400, 403));
  ASSERT_TRUE(wait_for_authorization(made, "failed"));
  EXPECT_EQ(server_->count("/token", 400), 1U);
  EXPECT_THAT(api_->get("/connections").at("data"), IsEmpty());
}

TEST_F(Login, TheSameAccountTwiceIsOneConnection) {
  const auto first = connect();
  EXPECT_EQ(connect(), first);
  EXPECT_EQ(connect({{"connection", first}}), first);
  EXPECT_THAT(api_->get("/connections").at("data"), SizeIs(1));
  EXPECT_EQ(test(first).at("ok"), true);
}

TEST_F(Login, AnotherAccountIsAnotherConnection) {
  const auto ada = connect();
  const auto grace = connect({{"name", "hers"}}, "grace");
  EXPECT_NE(grace, ada);
  EXPECT_EQ(connection(grace).at("account").at("id"), "u-grace");
  EXPECT_EQ(test(ada).at("account").at("id"), "u-ada");
}

TEST_F(Login, AnotherUsersAuthorizationIsNotFound) {
  const auto made = expect_authorization();
  harness::Api other(host());
  other.sign_up("other@example.org", "another long password");
  EXPECT_EQ(other.call("GET", "/authorizations/" + made.at("id").get<std::string>()).status, 404);
  const auto id = connect();
  for (const std::string path : {"/test", "/choices?operation=acme.write_note&param=folder"}) {
    EXPECT_EQ(other.call(path == "/test" ? "POST" : "GET", "/connections/" + id + path).status, 404) << path;
  }
}

TEST_F(Login, WhatCannotBeAuthorizedIsRefused) {
  for (const json& wrong :
       {json{{"provider", "nobody"}}, json{{"auth", "personal"}}, json{{"auth", "nothing"}},
        json{{"grant", "password"}}, json{{"connection", "0190aaaa-0000-7000-8000-000000000001"}}}) {
    const auto reply = authorize(wrong);
    EXPECT_EQ(reply.status / 100, 4) << wrong << reply.body;
    EXPECT_EQ(reply.header("content-type"), "application/problem+json");
  }
}

TEST_F(Login, DeletingRevokesAtTheProvider) {
  const auto id = connect();
  ASSERT_THAT(server_->grants(), SizeIs(1));
  EXPECT_EQ(api_->call("DELETE", "/connections/" + id).status, 204);
  EXPECT_TRUE(harness::wait_until([&] { return server_->grants().empty(); }));
  EXPECT_GE(server_->count("/token/revocation", 200), 1U);
  EXPECT_EQ(api_->call("GET", "/connections/" + id).status, 404);
}

TEST_F(Login, DeletingDoesNotWaitForAProviderThatIsDown) {
  const auto id = connect();
  server_->fail({{"path", "/token/revocation"}, {"status", 503}, {"count", 1000}});
  EXPECT_EQ(api_->call("DELETE", "/connections/" + id).status, 204);
  EXPECT_EQ(api_->call("GET", "/connections/" + id).status, 404);
}

TEST_F(Login, OnADeviceWithoutABrowser) {
  const auto made = expect_authorization({{"grant", "device_code"}});
  EXPECT_FALSE(made.at("user_code").get<std::string>().empty());
  EXPECT_EQ(made.at("verification_uri"), server_->url("/device"));
  EXPECT_EQ(made.at("interval"), 1);
  EXPECT_TRUE(made.at("expires_at").is_string());
  server_->fail({{"path", "/token"}, {"status", 400}, {"body", {{"error", "slow_down"}}}});
  ASSERT_TRUE(harness::wait_until([&] { return server_->count("/token", 400) >= 2; })) << "it asks again";
  EXPECT_EQ(authorization(made).at("status"), "pending");
  // RFC 8628, 3.5: from slow_down on it waits 5 s more.
  std::vector<json> asked;
  for (const auto& entry : server_->log()) {
    if (entry.at("path") == "/token") asked.push_back(entry);
  }
  EXPECT_GE(asked.at(1).at("at").get<std::int64_t>() - asked.at(0).at("at").get<std::int64_t>(), 5900);

  const auto confirmation = browser_.visit(made.at("verification_uri_complete"));
  EXPECT_THAT(browser_.submit(confirmation).reply.body, HasSubstr("Success"));
  ASSERT_TRUE(wait_for_authorization(made, "completed")) << authorization(made);
  const auto found = connection(authorization(made).at("connection"));
  EXPECT_EQ(found.at("state"), "active");
  EXPECT_EQ(found.at("account").at("id"), "u-ada");
}

TEST_F(Login, OnADeviceIsRefused) {
  const auto made = expect_authorization({{"grant", "device_code"}});
  browser_.submit(browser_.visit(made.at("verification_uri_complete")), {{"abort", "yes"}});
  ASSERT_TRUE(wait_for_authorization(made, "failed"));
  EXPECT_THAT(authorization(made).at("error").get<std::string>(), HasSubstr("access_denied"));
  EXPECT_THAT(api_->get("/connections").at("data"), IsEmpty());
}

TEST_F(Login, OnADeviceTakesTooLong) {
  begin({.server = {{"device_code_seconds", 3}}});
  const auto made = expect_authorization({{"grant", "device_code"}});
  EXPECT_TRUE(wait_for_authorization(made, "expired")) << authorization(made);
}

// Nobody has to agree, so it is done at once; and there is no refresh token, so the same is asked for anew.
TEST_F(Login, WithClientCredentials) {
  const auto made = expect_authorization({{"auth", "app"}, {"grant", "client_credentials"}});
  ASSERT_TRUE(wait_for_authorization(made, "completed")) << authorization(made);
  const std::string id = authorization(made).at("connection");
  EXPECT_EQ(connection(id).at("account").at("id"), "app-patchbay");
  server_->expire(json::object());
  activate_echo();
  fire();
  ASSERT_TRUE(wait_for_runs("completed", 1));
  EXPECT_EQ(server_->count("/token", 200), 2U);
  EXPECT_EQ(server_->count_refreshes(), 0U);
}

TEST_F(Login, AScopeThatWasNotGivenIsNamed) {
  const auto made = expect_authorization();
  ASSERT_EQ(sign_in(made, "ada", "&only_scopes=notes.read").reply.status, 200);
  ASSERT_TRUE(wait_for_authorization(made, "completed"));
  const std::string id = authorization(made).at("connection");
  EXPECT_THAT(scopes_of(connection(id)), Not(Contains("notes.write")));
  // Known at once, when a flow wants it, or when the provider refuses: in the end always the same.
  try {
    activate_echo();
    server_->fire({{"text", "needs notes.write"}});
  } catch (const std::runtime_error& refused) {
    EXPECT_THAT(refused.what(), HasSubstr("notes.write"));
  }
  ASSERT_TRUE(wait_for_state(id, "needs_reconsent")) << connection(id);
  EXPECT_THAT(connection(id).at("error").get<std::string>(), HasSubstr("notes.write"));
  EXPECT_EQ(connect({{"connection", id}}), id);
  EXPECT_EQ(connection(id).at("state"), "active");
  EXPECT_THAT(scopes_of(connection(id)), Contains("notes.write"));
}

TEST_F(Login, ChoicesComeInPagesAndAreSearched) {
  const auto id = connect();
  const auto ask = [&](const std::string& search, const std::string& cursor) {
    return api_->get("/connections/" + id + "/choices?operation=acme.write_note&param=folder&search=" + search +
                     "&cursor=" + cursor);
  };
  std::vector<json> all;
  std::string cursor;
  for (int pages = 0; pages < 10; ++pages) {
    const auto page = ask("", cursor);
    for (const auto& choice : page.at("choices")) all.push_back(choice);
    if (page.at("next").is_null()) break;
    cursor = page.at("next");
  }
  ASSERT_THAT(all, SizeIs(250));
  EXPECT_EQ(all.front(), json({{"value", "f-001"}, {"label", "Project 001"}}));
  EXPECT_THAT(ask("project", "").at("choices"), SizeIs(25));
  EXPECT_THAT(ask("nothing%20like%20it", "").at("choices"), IsEmpty());
  const auto query = "/connections/" + id + "/choices?operation=acme.write_note&param=";
  EXPECT_EQ(api_->call("GET", query + "text").status / 100, 4) << "it has no choices";
  EXPECT_EQ(api_->call("GET", query + "nothing").status / 100, 4);
}

}  // namespace
}  // namespace patchbay::oauth
