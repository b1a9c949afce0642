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
        Fault{"no_schema", with(R"(,"reactions":[{"id":"a","name":"A","params":{"type":7}}])"), "/reactions/0/params"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace patchbay::plugin
