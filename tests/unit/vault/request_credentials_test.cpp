#include "vault/request_credentials.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/bytes.hpp"

namespace patchbay::vault {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

plugin::AuthScheme scheme(std::string type) {
  plugin::AuthScheme made;
  made.id = type;
  made.type = std::move(type);
  return made;
}

egress::HttpRequest applied(const plugin::AuthScheme& scheme, const Fields& fields, std::string url = "https://acme.example/me") {
  egress::HttpRequest request;
  request.url = std::move(url);
  auto made = RequestCredentials::make(scheme, fields);
  EXPECT_TRUE(made) << made.error().message;
  if (made) made->apply(request);
  return request;
}

TEST(RequestCredentials, UserAndPassword) {
  auto basic = scheme("basic");
  basic.inject = plugin::Injection{"Authorization", "", "Basic {basic}"};
  const auto request = applied(basic, {{"username", Secret("Aladdin")}, {"password", Secret("open sesame")}});
  EXPECT_THAT(request.headers, ElementsAre(Pair("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")));  // RFC 7617, 2
}

TEST(RequestCredentials, AKeyInTheQueryTakesThePlaceOfWhatStandsThere) {
  auto key = scheme("api_key");
  key.inject = plugin::Injection{"", "api_key", "{key}"};
  const Fields fields{{"key", Secret("k&y=1")}};
  EXPECT_EQ(applied(key, fields).url, "https://acme.example/me?api_key=k%26y%3D1");
  EXPECT_EQ(applied(key, fields, "https://acme.example/me?a=1&api_key=mine&b=2#top").url, "https://acme.example/me?a=1&b=2&api_key=k%26y%3D1");
  EXPECT_EQ(applied(key, fields, "https://acme.example/me?api_key=x").url, "https://acme.example/me?api_key=k%26y%3D1");
}

TEST(RequestCredentials, AwsKeysSign) {
  auto aws = scheme("aws_sigv4");
  aws.sign = plugin::SigningScheme{"aws-sigv4", {{"region", "{region}"}, {"service", "execute-api"}}, {}};
  const Fields fields{{"access_key_id", Secret("AKIDEXAMPLE")}, {"secret_access_key", Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")}, {"region", Secret("eu-central-1")}};
  const auto request = applied(aws, fields);
  ASSERT_NE(request.signer, nullptr);
  EXPECT_THAT(request.headers, IsEmpty()) << "nothing is signed before it is sent";
  auto lacking = fields;
  lacking.erase("secret_access_key");
  EXPECT_EQ(RequestCredentials::make(aws, lacking).error().code, Errc::invalid);
}

TEST(RequestCredentials, AnHmacSigns) {
  auto hmac = scheme("hmac");
  hmac.sign = plugin::SigningScheme{"hmac-sha256", {{"header", "x-acme-signature"}, {"prefix", "sha256="}}, {"method", "path", "body"}};
  const auto request = applied(hmac, {{"key", Secret("a key of some length")}});
  EXPECT_NE(request.signer, nullptr);
  hmac.sign->signed_parts = {"moon"};
  EXPECT_EQ(RequestCredentials::make(hmac, {{"key", Secret("a key of some length")}}).error().code, Errc::invalid);
}

TEST(RequestCredentials, ACertificateThatIsNoneIsRefusedWithoutShowingIt) {
  const auto made = RequestCredentials::make(scheme("mtls"), {{"certificate", Secret("-----BEGIN CERTIFICATE-----\nsecret stuff")}, {"key", Secret("secret key")}});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::invalid);
  EXPECT_THAT(made.error().message, Not(HasSubstr("secret")));
}

TEST(RequestCredentials, AFieldThatIsMissingIsNamed) {
  auto token = scheme("token");
  token.inject = plugin::Injection{"Authorization", "", "Bearer {token}"};
  EXPECT_THAT(RequestCredentials::make(token, {}).error().message, HasSubstr("no token"));
}

}  // namespace
}  // namespace patchbay::vault
