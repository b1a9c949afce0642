#include <array>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aws_example.hpp"
#include "egress/signing/sigv4.hpp"
#include "egress/signing/url_parts.hpp"

namespace patchbay::egress::testing {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

// The examples of docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html and
// sigv4-query-string-auth.html
class S3Examples : public ::testing::Test {
 protected:
  S3Examples() {
    settings.access_key_id = "AKIAIOSFODNN7EXAMPLE";
    settings.secret_access_key = Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    settings.region = "us-east-1";
    settings.service = "s3";
  }
  std::string signature_of(const std::string& method, const std::string& target, const Headers& headers = {},
                           const std::string& body = "") {
    url = "https://examplebucket.s3.amazonaws.com" + target;
    Signable request{method, url, headers, body, *parse_rfc3339("2013-05-24T00:00:00Z"), {}, {}};
    EXPECT_TRUE(make_aws_sigv4_signer(settings).value()->sign(request));
    if (request.added.empty()) return url.substr(url.rfind('=') + 1);
    const auto& authorization = request.added.back().second;
    return authorization.substr(authorization.rfind('=') + 1);
  }
  AwsSigV4 settings;
  std::string url;
};

TEST_F(S3Examples, GetObject) {
  EXPECT_EQ(signature_of("GET", "/test.txt", {{"Range", "bytes=0-9"}}),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST_F(S3Examples, PutObject) {
  const Headers headers{{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}};
  EXPECT_EQ(signature_of("PUT", "/test$file.text", headers, "Welcome to Amazon S3."),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
  EXPECT_EQ(url, "https://examplebucket.s3.amazonaws.com/test%24file.text") << "sent as it was signed";
}

TEST_F(S3Examples, GetBucketLifecycle) {
  EXPECT_EQ(signature_of("GET", "/?lifecycle"), "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

TEST_F(S3Examples, ListObjects) {
  EXPECT_EQ(signature_of("GET", "/?max-keys=2&prefix=J"),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST_F(S3Examples, PresignedUrl) {
  settings.place = AwsSigV4::Place::query;
  settings.expires = std::chrono::seconds{86400};
  signature_of("GET", "/test.txt");
  EXPECT_EQ(url,
            "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
            "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
            "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
            "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

TEST_F(S3Examples, ASignedUrlThatComesBackIsSignedOnlyOnce) {
  settings.place = AwsSigV4::Place::query;
  settings.session_token = Secret("to/ken==");
  const auto first = signature_of("GET", "/test.txt?a=b");
  const auto once = url;
  EXPECT_THAT(once, HasSubstr("&X-Amz-Security-Token=to%2Fken%3D%3D&"));
  EXPECT_EQ(signature_of("GET", once.substr(once.find("/test"))), first);
  EXPECT_EQ(url, once);
}

TEST_F(S3Examples, ATokenMayBeAddedAfterSigning) {
  settings.place = AwsSigV4::Place::query;
  const auto without = signature_of("GET", "/test.txt");
  settings.session_token = Secret("token");
  settings.sign_session_token = false;
  signature_of("GET", "/test.txt");
  EXPECT_THAT(url, EndsWith(without + "&X-Amz-Security-Token=token"));
}

TEST_F(S3Examples, PathsStayWhatTheyAre) {
  signature_of("GET", "/my-object//example/../photo%20a+b%2fc.user?x=a+b");
  EXPECT_THAT(url, EndsWith("/my-object//example/../photo%20a%2Bb/c.user?x=a%20b"));
}

TEST_F(S3Examples, ABodyMayStayUnsigned) {
  settings.sign_body = false;
  const std::string method = "PUT", body = "body";
  url = "https://examplebucket.s3.amazonaws.com/a";
  const Headers headers;
  Signable request{method, url, headers, body, kSuiteTime, {}, {}};
  ASSERT_TRUE(make_aws_sigv4_signer(settings).value()->sign(request));
  EXPECT_EQ(request.added[1], (std::pair<std::string, std::string>("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")));
}

TEST(SigV4, RefusesWhatCannotBeSigned) {
  const auto refused = [](auto change) {
    auto settings = suite_settings();
    change(settings);
    const auto made = make_aws_sigv4_signer(settings);
    return !made && made.error().code == Errc::invalid && made.error().message.find("EXAMPLE") == std::string::npos;
  };
  EXPECT_TRUE(refused([](auto& settings) { settings.access_key_id = ""; }));
  EXPECT_TRUE(refused([](auto& settings) { settings.access_key_id = "AKIDEXAMPLE\r\n"; }));
  EXPECT_TRUE(refused([](auto& settings) { settings.secret_access_key = {}; }));
  EXPECT_TRUE(refused([](auto& settings) { settings.region = ""; }));
  EXPECT_TRUE(refused([](auto& settings) { settings.region = "us/east"; }));
  EXPECT_TRUE(refused([](auto& settings) { settings.service = ""; }));
  EXPECT_TRUE(refused([](auto& settings) { settings.expires = std::chrono::hours{24 * 8}; }));
  EXPECT_TRUE(refused([](auto& settings) { settings.expires = std::chrono::seconds{0}; }));
}

TEST(SigV4, TheHostIsAsItIsSent) {
  const auto host = [](std::string_view url) { return split_url(url).host_header(); };
  EXPECT_EQ(host("https://a.example"), "a.example");
  EXPECT_EQ(host("https://A.example:443/x"), "A.example");
  EXPECT_EQ(host("http://a.example:443?x"), "a.example:443");
  EXPECT_EQ(host("http://a.example:080/"), "a.example");
  EXPECT_EQ(host("https://a.example:/"), "a.example");
  EXPECT_EQ(host("https://[::1]:8443/"), "[::1]:8443");
  EXPECT_EQ(host("https://[::1]/"), "[::1]");
}

// 20,000 URLs of what may confuse a reader of URLs: nothing crashes, and what is canonical stays canonical.
TEST(SigV4, OddUrlsAreSigned) {
  const std::vector<std::string> pieces{
      "/",  "//", "/.",   "/..", "../", "%",      "%2", "%2f",    "%00", "%zz",         "%25",
      "?",  "&",  "=",    "&&",  "==",  "+",      "a",  "A~b",    " ",   ":",           ";",
      "\\", "é",  "\x80", "[",   "'",   "%E1%88", "ሴ",  "%c3%28", "*",   "X-Amz-Date=1"};
  std::minstd_rand dice(20150830);
  auto settings = suite_settings();
  std::array<std::shared_ptr<const Signer>, 4> signers;
  for (std::size_t i = 0; i < signers.size(); ++i) {
    settings.service = i % 2 == 0 ? "service" : "s3";
    settings.place = i / 2 == 0 ? AwsSigV4::Place::header : AwsSigV4::Place::query;
    signers[i] = make_aws_sigv4_signer(settings).value();
  }
  const std::string method = "GET";
  const Headers headers{{"X-Odd", " a \t b "}, {"x-odd", ""}};
  for (int i = 0; i < 20'000; ++i) {
    std::string url = "https://a.example";
    for (auto count = dice() % 12; count > 0; --count) url += pieces[dice() % pieces.size()];
    for (const auto& signer : signers) {
      auto sent = url;
      Signable request{method, sent, headers, "", kSuiteTime, {}, {}};
      ASSERT_TRUE(signer->sign(request)) << url;
    }
    const auto parts = split_url(url);
    const auto query = sigv4::canonical_query(parts.query);
    ASSERT_EQ(sigv4::canonical_query(query), query) << url;
    const auto path = sigv4::canonical_path(parts.path, sigv4::PathForm::as_sent);
    ASSERT_EQ(sigv4::canonical_path(path, sigv4::PathForm::as_sent), path) << url;
    ASSERT_EQ(sigv4::canonical_path(parts.path, sigv4::PathForm::normalised).find("//"), std::string::npos) << url;
  }
}

}  // namespace
}  // namespace patchbay::egress::testing
