#include "vault/oauth.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace patchbay::vault {
namespace {

using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StartsWith;

OAuthParty party() {
  OAuthParty party{"acme", {}, "client 1", Secret("s:cret")};
  party.scheme.authorize_url = "https://acme.example/authorize";
  party.scheme.token_url = "https://acme.example/token";
  return party;
}

Result<egress::HttpReply> reply(int status, std::string body, std::string type = "application/json") {
  return egress::HttpReply{status, {{"content-type", std::move(type)}}, std::move(body)};
}

Tokens tokens(Result<egress::HttpReply> answer) {
  auto read = read_tokens("acme", answer);
  EXPECT_TRUE(read) << read.error().message;
  return read.value_or(Tokens{});
}

TokenError refusal(Result<egress::HttpReply> answer) {
  auto read = read_tokens("acme", answer);
  EXPECT_FALSE(read);
  return read ? TokenError{} : read.error();
}

// RFC 7636, appendix B, has the verifier's form; S256 is the only method.
TEST(OAuth, PkceIsMadeAnewEachTime) {
  const auto one = make_pkce();
  const auto other = make_pkce();
  EXPECT_EQ(one.verifier.reveal().size(), 43U);
  EXPECT_EQ(one.challenge.size(), 43U);
  EXPECT_NE(one.challenge, other.challenge);
  EXPECT_EQ(one.challenge.find_first_of("+/="), std::string::npos);
}

TEST(OAuth, TheAuthorizationUrlSaysAllOfIt) {
  auto asks = party();
  asks.scheme.authorize_params = {{"access_type", "offline"}};
  asks.scheme.scope_separator = ",";
  const auto url = authorization_url(asks, "http://127.0.0.1:1/oauth2/callback", "st", {"a:b", "c"}, "ch");
  EXPECT_EQ(url,
            "https://acme.example/authorize?response_type=code&client_id=client%201&redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Foauth2%2Fcallback"
            "&state=st&scope=a%3Ab%2Cc&code_challenge=ch&code_challenge_method=S256&access_type=offline");
  asks.scheme.authorize_url += "?tenant=1";
  EXPECT_THAT(authorization_url(asks, "x", "st", {}, ""), StartsWith("https://acme.example/authorize?tenant=1&response_type=code"));
}

// RFC 6749, 2.3.1: both halves are form-encoded before they are joined.
TEST(OAuth, TheClientShowsItself) {
  auto asks = party();
  const auto basic = client_request(asks, asks.scheme.token_url, {{"grant_type", "refresh_token"}});
  EXPECT_THAT(basic.headers, Contains(Pair("Authorization", "Basic " + to_base64("client%201:s%3Acret"))));
  EXPECT_EQ(basic.body, "grant_type=refresh_token");
  EXPECT_THAT(*basic.allowed_hosts, ElementsAre("acme.example"));
  asks.scheme.client_in_body = true;
  const auto post = client_request(asks, asks.scheme.token_url, {});
  EXPECT_EQ(post.body, "client_id=client%201&client_secret=s%3Acret");
  asks.client_secret = Secret();  // a public client
  EXPECT_EQ(client_request(asks, asks.scheme.token_url, {}).body, "client_id=client%201");
}

TEST(OAuth, AnswersAreReadInEveryForm) {
  const auto plain = tokens(reply(200, R"({"access_token":"at","refresh_token":"rt","expires_in":3600,"scope":"b a"})"));
  EXPECT_EQ(plain.access_token.reveal(), "at");
  EXPECT_EQ(plain.refresh_token.reveal(), "rt");
  EXPECT_EQ(plain.expires_in, seconds{3600});
  EXPECT_THAT(*plain.scopes, ElementsAre("a", "b"));
  const auto form = tokens(reply(200, "access_token=gho_1&scope=repo%2Cgist&token_type=bearer", "application/x-www-form-urlencoded; charset=utf-8"));
  EXPECT_EQ(form.access_token.reveal(), "gho_1");
  EXPECT_THAT(*form.scopes, ElementsAre("gist", "repo"));
  const auto array = tokens(reply(200, R"({"access_token":"at","expires_in":14124,"scope":["chat:read","bits:read"]})"));
  EXPECT_THAT(*array.scopes, ElementsAre("bits:read", "chat:read"));
  EXPECT_EQ(tokens(reply(200, R"({"access_token":"at","expires_in":"7200","scopes":"pullrequest"})")).expires_in, seconds{7200});
}

// token_without_expiry_is_not_expired: no expires_in is no expiry, not an hour.
TEST(OAuth, token_without_expiry_is_not_expired) {
  EXPECT_EQ(tokens(reply(200, R"({"access_token":"at"})")).expires_in, std::nullopt);
  EXPECT_EQ(tokens(reply(200, R"({"access_token":"at","expires_in":0})")).expires_in, std::nullopt);
  EXPECT_EQ(tokens(reply(200, R"({"access_token":"at"})")).scopes, std::nullopt);
}

TEST(OAuth, RefusalsAreToldApart) {
  using F = TokenFault;
  EXPECT_EQ(refusal(reply(400, R"({"error":"invalid_grant"})")).fault, F::invalid_grant);
  EXPECT_EQ(refusal(reply(200, R"({"error":"bad_verification_code","error_description":"The code is incorrect"})")).fault, F::invalid_grant);
  EXPECT_EQ(refusal(reply(200, "error=bad_refresh_token", "application/x-www-form-urlencoded")).fault, F::invalid_grant);
  EXPECT_EQ(refusal(reply(400, R"({"status":400,"message":"Invalid refresh token"})")).fault, F::invalid_grant);
  EXPECT_EQ(refusal(reply(400, R"({"error":"authorization_pending"})")).fault, F::pending);
  EXPECT_EQ(refusal(reply(400, R"({"error":"slow_down"})")).fault, F::slow_down);
  EXPECT_EQ(refusal(reply(400, R"({"error":"access_denied"})")).fault, F::denied);
  EXPECT_EQ(refusal(reply(400, R"({"error":"expired_token"})")).fault, F::expired);
  EXPECT_EQ(refusal(reply(401, R"({"error":"invalid_client"})")).fault, F::client);
  EXPECT_EQ(refusal(reply(403, R"({"status":403,"message":"invalid client secret"})")).fault, F::client);
  EXPECT_EQ(refusal(reply(400, R"({"error":"invalid_scope"})")).fault, F::client);
  EXPECT_EQ(refusal(reply(503, "<html>")).fault, F::passing);
  EXPECT_EQ(refusal(reply(429, "")).fault, F::passing);
  EXPECT_EQ(refusal(reply(200, "{}")).fault, F::passing);
  EXPECT_EQ(refusal(reply(200, "not json")).fault, F::passing);
  EXPECT_EQ(refusal(fail(Errc::timeout, "no answer")).fault, F::passing);
  EXPECT_EQ(refusal(fail(Errc::denied, "private address")).fault, F::client);
}

TEST(OAuth, WhatTheProviderSaysIsShownWithoutControlCharacters) {
  const auto error = refusal(reply(400, R"({"error":"invalid_grant","error_description":"Token\u0000 has\nbeen revoked"})"));
  EXPECT_EQ(error.message, "acme answered 400, invalid_grant: Token hasbeen revoked");
}

TEST(OAuth, SecretsDoNotStayInTheReply) {
  auto answer = reply(200, R"({"access_token":"at","refresh_token":"rt"})");
  ASSERT_TRUE(read_tokens("acme", answer));
  EXPECT_THAT(answer->body, Not(HasSubstr("rt")));
}

TEST(OAuth, DeviceCodesAreRead) {
  auto answer = reply(200, R"({"device_code":"dc","user_code":"WDJB-MJHT","verification_uri":"https://acme.example/device","expires_in":900,"interval":7})");
  const auto code = read_device_code("acme", answer);
  ASSERT_TRUE(code);
  EXPECT_EQ(code->user_code, "WDJB-MJHT");
  EXPECT_EQ(code->interval, seconds{7});
  auto google = reply(200, R"({"device_code":"dc","user_code":"X","verification_url":"https://google.example/device","expires_in":1800})");
  EXPECT_EQ(read_device_code("google", google)->verification_uri, "https://google.example/device");
  auto none = reply(404, "");
  EXPECT_FALSE(read_device_code("acme", none));
}

}  // namespace
}  // namespace patchbay::vault
