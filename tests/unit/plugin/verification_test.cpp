#include "plugin/verification.hpp"

#include <gtest/gtest.h>

namespace patchbay::plugin {
namespace {

using Kind = VerificationScheme::Kind;

VerificationScheme github() {
  VerificationScheme scheme;
  scheme.kind = Kind::hmac_sha256;
  scheme.header = "x-hub-signature-256";
  scheme.prefix = "sha256=";
  scheme.signed_parts = {"body"};
  return scheme;
}

// GitHub's own example: docs.github.com, "Validating webhook deliveries".
constexpr auto kSecret = "It's a Secret to Everybody";
constexpr auto kBody = "Hello, World!";
constexpr auto kSignature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

WebhookRequest signed_request(std::string signature) {
  return {"POST", "", {{"x-hub-signature-256", std::move(signature)}}, kBody};
}

class GithubSignature : public ::testing::Test {
 protected:
  Verifier verifier_ = *Verifier::create(github(), Secret(kSecret));
  bool accepts(const WebhookRequest& request) {
    const auto result = verifier_.verify(request, Timestamp{});
    if (!result) {
      EXPECT_EQ(result.error().code, Errc::unauthenticated);
    }
    return result.has_value();
  }
};

TEST_F(GithubSignature, TheVendorsExamplePasses) {
  EXPECT_TRUE(verifier_.checks());
  for (int again = 0; again < 3; ++again) EXPECT_TRUE(accepts(signed_request(kSignature)));
}

TEST_F(GithubSignature, EverythingElseIsRefused) {
  auto tampered = signed_request(kSignature);
  tampered.body += " ";
  EXPECT_FALSE(accepts(tampered));
  EXPECT_FALSE(accepts({"POST", "", {}, kBody}));
  const std::string right = kSignature;
  std::string upper = right;
  for (std::size_t i = 7; i < upper.size(); ++i) upper[i] = static_cast<char>(std::toupper(upper[i]));
  for (const auto& wrong : {std::string(), std::string("sha256="), right.substr(0, right.size() - 1),
                            right.substr(0, right.size() - 2), right + "0", right + "00", right.substr(7),
                            "sha1=" + right.substr(7), upper, std::string("sha256=zz") + right.substr(9)}) {
    EXPECT_FALSE(accepts(signed_request(wrong))) << wrong;
  }
}

TEST_F(GithubSignature, TheMessageNeverTellsWhatWouldHaveBeenRight) {
  const auto result = verifier_.verify(signed_request("sha256=" + std::string(64, '0')), Timestamp{});
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().message.find("757107ea"), std::string::npos);
}

TEST(Verifier, Rfc4231) {
  auto scheme = github();
  scheme.prefix = "";
  const auto verifier = Verifier::create(scheme, Secret(std::string(20, '\x0b')));
  const WebhookRequest request{
      "POST",
      "",
      {{"x-hub-signature-256", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"}},
      "Hi There"};
  EXPECT_TRUE(verifier->verify(request, Timestamp{}).has_value());
}

TEST(Verifier, TheTimeOfTheRequestCounts) {
  auto scheme = github();
  scheme.prefix = "";
  scheme.signed_parts = {"header:x-time", "text:.", "body"};
  scheme.timestamp_header = "x-time";
  scheme.max_age = std::chrono::minutes{10};
  const auto verifier = Verifier::create(scheme, Secret("key"));
  // HMAC-SHA256("key", "1700000000.body"), made with `openssl dgst -sha256 -hmac key`.
  const WebhookRequest request{
      "POST",
      "",
      {{"x-time", "1700000000"},
       {"x-hub-signature-256", "47b6ce0fca59474308e2921c247cb2493dce6b8101d90ac05bd0c6a37d0e046e"}},
      "body"};
  const auto at = [](std::int64_t seconds) { return Timestamp{std::chrono::seconds{seconds}}; };
  EXPECT_TRUE(verifier->verify(request, at(1'700'000'000)).has_value());
  EXPECT_TRUE(verifier->verify(request, at(1'700'000'600)).has_value());
  EXPECT_FALSE(verifier->verify(request, at(1'700'000'601)).has_value());
  EXPECT_FALSE(verifier->verify(request, at(1'699'999'399)).has_value());
}

// RFC 8032, section 7.1, test 3.
TEST(Verifier, Ed25519) {
  VerificationScheme scheme;
  scheme.kind = Kind::ed25519;
  scheme.header = "x-signature-ed25519";
  scheme.signed_parts = {"body"};
  const auto verifier =
      Verifier::create(scheme, Secret("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"));
  ASSERT_TRUE(verifier.has_value());
  const std::string signature =
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
      "c027beceea1ec40a";
  WebhookRequest request{"POST", "", {{"x-signature-ed25519", signature}}, "\xaf\x82"};
  EXPECT_TRUE(verifier->verify(request, Timestamp{}).has_value());
  request.body[0] = '\x00';
  EXPECT_FALSE(verifier->verify(request, Timestamp{}).has_value());
}

TEST(Verifier, KeysAreChecked) {
  EXPECT_FALSE(Verifier::create(github(), Secret()).has_value());
  VerificationScheme scheme;
  scheme.kind = Kind::ed25519;
  EXPECT_FALSE(Verifier::create(scheme, Secret("abcd")).has_value());
}

}  // namespace
}  // namespace patchbay::plugin
