#include "plugin/manifest.hpp"

#include <gtest/gtest.h>

namespace patchbay::plugin {
namespace {

constexpr auto kWhole = R"({
  "patchbay": 1, "id": "sample", "version": "1.2.3", "name": "Sample", "base_url": "https://api.example.com",
  "state": {"version": 2, "reads": [1, 2]},
  "http": {"hosts": ["api.example.com"], "headers": {"Accept": "application/json"}},
  "auth": {"account": {"type": "token", "fields": {"token": {"title": "Token"}},
                       "inject": {"header": "Authorization", "value": "Bearer {token}"}}},
  "webhook": {"verify": {"scheme": "hmac-sha256", "header": "x-sig", "prefix": "v1=", "signed": ["header:x-t", "body"],
                         "timestamp": "header:x-t", "max_age": "10m"},
              "delivery_key": "header:x-id", "patience": "1s"},
  "triggers": [{"id": "thing", "name": "A thing", "mode": "webhook", "scopes": ["read"]},
               {"id": "tick", "name": "A tick", "mode": "poll", "every": "30s"}],
  "reactions": [{"id": "act", "name": "Act", "idempotent": true, "timeout": "5s", "params": {"type": "object"}}]})";

TEST(Manifest, IsReadWhole) {
  const auto manifest = Manifest::parse(kWhole);
  ASSERT_TRUE(manifest.has_value()) << manifest.error().message;
  EXPECT_EQ(manifest->id, "sample");
  EXPECT_EQ(manifest->reads_states, (std::vector{1, 2}));
  EXPECT_EQ(manifest->auth.at(0).inject->value, "Bearer {token}");
  EXPECT_EQ(manifest->verification.kind, VerificationScheme::Kind::hmac_sha256);
  EXPECT_EQ(manifest->verification.timestamp_header, "x-t");
  EXPECT_EQ(manifest->verification.max_age, std::chrono::minutes{10});
  EXPECT_EQ(manifest->delivery_key_header, "x-id");
  EXPECT_EQ(manifest->patience, std::chrono::seconds{1});
  EXPECT_EQ(manifest->trigger("tick")->every, std::chrono::seconds{30});
  EXPECT_TRUE(manifest->reaction("act")->idempotent);
  EXPECT_EQ(manifest->reaction("none"), nullptr);
}

TEST(Manifest, ReadsHowToSignIn) {
  const auto manifest = Manifest::parse(R"({"patchbay":1,"id":"sample","version":"1.0.0","name":"Sample","auth":{
    "account":{"type":"oauth2","grants":["authorization_code","device_code"],"authorize_url":"https://a.example/auth","token_url":"https://a.example/token",
      "device_url":"https://a.example/device","client_auth":"body","pkce":false,"scopes":["a"],"keep_alive":"30d","authorize_params":{"prompt":"consent"},
      "identity":{"path":"/me","id":"/id","name":"/login"},"revoke":{"method":"DELETE","url":"https://a.example/{client_id}","json":{"t":"{access_token}"},"auth":"client"}},
    "login":{"type":"basic"},
    "aws":{"type":"aws_sigv4","fields":{"access_key_id":{},"secret_access_key":{},"session_token":{"optional":true},"region":{}},
      "sign":{"scheme":"aws-sigv4","region":"{region}","service":"s3"}}}})");
  ASSERT_TRUE(manifest) << manifest.error().message;
  const auto& account = *manifest->scheme("account");
  EXPECT_TRUE(account.allows(OAuthGrant::device_code));
  EXPECT_FALSE(account.allows(OAuthGrant::client_credentials));
  EXPECT_FALSE(account.oauth->pkce);
  EXPECT_TRUE(account.oauth->client_in_body);
  EXPECT_EQ(account.oauth->keep_alive, std::chrono::days{30});
  EXPECT_EQ(account.inject->value, "Bearer {access_token}");
  EXPECT_EQ(account.identity->name, "/login");
  EXPECT_TRUE(account.oauth->revoke->with_client);
  EXPECT_EQ(manifest->scheme("basic")->fields, (std::vector<std::string>{"password", "username"}));
  EXPECT_EQ(manifest->scheme("aws")->optional_fields, (std::vector<std::string>{"session_token"}));
  EXPECT_EQ(manifest->scheme("aws_sigv4")->sign->settings.at("region"), "{region}");
  EXPECT_EQ(manifest->scheme("oauth1"), nullptr);
}

struct Fault {
  std::string name;
  std::string text;
  std::string message;
};
class ManifestFault : public ::testing::TestWithParam<Fault> {};

TEST_P(ManifestFault, IsNamedOnOneLine) {
  const auto manifest = Manifest::parse(GetParam().text);
  ASSERT_FALSE(manifest.has_value());
  EXPECT_NE(manifest.error().message.find(GetParam().message), std::string::npos) << manifest.error().message;
  EXPECT_EQ(manifest.error().message.find('\n'), std::string::npos);
}

std::string with(std::string_view more) {
  return R"({"patchbay":1,"id":"sample","version":"1.0.0","name":"Sample")" + std::string(more) + "}";
}

INSTANTIATE_TEST_SUITE_P(
    Table, ManifestFault,
    ::testing::Values(
        Fault{"syntax", "{", "not JSON"}, Fault{"missing", R"({"patchbay":1})", "id"},
        Fault{"version", R"({"patchbay":1,"id":"a","version":"one","name":"A"})", "/version"},
        Fault{"unknown_member", with(R"(,"colour":1)"), "colour"},
        Fault{"twice", with(R"(,"reactions":[{"id":"a","name":"A"},{"id":"a","name":"A"}])"),
              "/reactions/1/id: 'a' stands twice"},
        Fault{"unproven", with(R"(,"triggers":[{"id":"a","name":"A","mode":"webhook"}])"), "/webhook/verify"},
        Fault{"no_header", with(R"(,"webhook":{"verify":{"scheme":"hmac-sha256"}})"), "/webhook/verify/header"},
        Fault{"no_time", with(R"(,"webhook":{"verify":{"scheme":"ed25519","header":"h","max_age":"1m"}})"),
              "timestamp"},
        Fault{"no_field", with(R"(,"auth":{"a":{"type":"token","inject":{"header":"A","value":"{key}"}}})"),
              "there is no field 'key'"},
        Fault{"no_token_url", with(R"(,"auth":{"a":{"type":"oauth2","authorize_url":"https://a.example/x"}})"), "/auth/a/token_url: the grant needs it"},
        Fault{"no_device_url", with(R"(,"auth":{"a":{"type":"oauth2","grants":["device_code"],"token_url":"https://a.example/x"}})"), "/auth/a/device_url"},
        Fault{"unknown_grant", with(R"(,"auth":{"a":{"type":"oauth2","grants":["password"],"token_url":"https://a.example/x"}})"), "/auth/a/grants/0"},
        Fault{"two_places", with(R"(,"auth":{"a":{"type":"token","fields":{"key":{}},"inject":{"header":"A","query":"b","value":"{key}"}}})"),
              "needs a header or a query parameter, and not both"},
        Fault{"no_such_placeholder", with(R"(,"auth":{"a":{"type":"token","test":{"path":"/me/{id}"}}})"), "/auth/a/test/url: there is no field 'id'"},
        Fault{"no_lister", with(R"(,"reactions":[{"id":"a","name":"A","params":{"properties":{"b":{"x-choices":{"reaction":"list"}}}}}])"),
              "/reactions/0/params/properties/b/x-choices/reaction: there is no reaction 'list'"},
        Fault{"no_schema", with(R"(,"reactions":[{"id":"a","name":"A","params":{"type":7}}])"), "/reactions/0/params"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace patchbay::plugin
