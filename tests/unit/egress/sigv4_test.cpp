#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "egress/percent.hpp"
#include "egress/signer.hpp"
#include "egress/signing/crypto.hpp"
#include "egress/signing/sigv4.hpp"
#include "egress/signing/url_parts.hpp"

namespace patchbay::egress::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::EndsWith;
using ::testing::HasSubstr;

const fs::path kSuite = fs::path(PATCHBAY_SOURCE_DIRECTORY) / "../shared/data/aws-sigv4";
constexpr std::string_view kToken = "x-amz-security-token";

std::string read(const fs::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// A request of the suite, as a text of HTTP/1.1 whose target is not encoded.
struct Vector {
  std::string method, target, body, host;
  Headers headers;  // without Host

  static Vector parse(const std::string& text) {
    Vector vector;
    std::istringstream lines(text);
    std::string line;
    std::getline(lines, line);
    vector.method = line.substr(0, line.find(' '));
    vector.target = line.substr(vector.method.size() + 1, line.rfind(' ') - vector.method.size() - 1);
    while (std::getline(lines, line) && !line.empty()) vector.take_header(line);
    std::getline(lines, vector.body);
    return vector;
  }
  void take_header(const std::string& line) {
    // The suite reads a folded line as one more value of the header.
    if (line.front() == ' ') return void(headers.emplace_back(headers.back().first, line));
    const auto colon = line.find(':');
    const auto name = line.substr(0, colon);
    if (name == "Host") host = line.substr(colon + 1);
    if (name != "Host") headers.emplace_back(name, line.substr(colon + 1));
  }
};

AwsSigV4 suite_settings() {
  return {.access_key_id = "AKIDEXAMPLE",
          .secret_access_key = Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
          .session_token = {},
          .region = "us-east-1",
          .service = "service"};
}
const Timestamp kSuiteTime = *parse_rfc3339("2015-08-30T12:36:00Z");

std::vector<fs::path> vectors() {
  std::vector<fs::path> found;
  if (!fs::exists(kSuite)) return {fs::path("absent")};
  for (const auto& entry : fs::recursive_directory_iterator(kSuite)) {
    if (entry.path().extension() == ".req") found.push_back(entry.path());
  }
  std::ranges::sort(found);
  return found;
}

class AwsSuite : public ::testing::TestWithParam<fs::path> {
 protected:
  void SetUp() override {
    if (!fs::exists(kSuite)) GTEST_SKIP() << "AWS's suite is not in " << kSuite;
    vector = Vector::parse(read(GetParam()));
  }
  std::string expected(const char* extension) const { return read(fs::path(GetParam()).replace_extension(extension)); }

  Vector vector;
};

TEST_P(AwsSuite, EachStageIsAsPublished) {
  auto headers = vector.headers;
  headers.emplace_back("Host", vector.host);
  const auto question = std::min(vector.target.find('?'), vector.target.size());
  const auto hash = to_hex(digest(Digest::sha256, vector.body).value());
  const auto canonical = sigv4::canonical_request(
      {.method = vector.method,
       .path = std::string_view(vector.target).substr(0, question),
       .query = std::string_view(vector.target).substr(std::min(question + 1, vector.target.size())),
       .headers = headers,
       .payload_hash = hash});
  EXPECT_EQ(canonical, expected(".creq"));

  const auto moment = sigv4::moment_of(kSuiteTime);
  const auto scope = sigv4::scope_of(moment, "us-east-1", "service");
  const auto text = sigv4::string_to_sign(moment, scope, canonical).value();
  EXPECT_EQ(text, expected(".sts"));

  const auto settings = suite_settings();
  const auto signature = sigv4::signature(settings.secret_access_key, scope, text).value();
  const auto names = sigv4::signed_headers(headers);
  EXPECT_EQ(sigv4::authorization(settings.access_key_id, scope, names, signature), expected(".authz"));
}

TEST_P(AwsSuite, TheSignerMakesTheSignedRequest) {
  const auto signed_request = Vector::parse(expected(".sreq"));
  auto settings = suite_settings();
  const auto has_token = [](const auto& header) { return is_same_name(header.first, kToken); };
  const auto token = std::ranges::find_if(signed_request.headers, has_token);
  if (token != signed_request.headers.end()) {
    settings.session_token = Secret(token->second);
    settings.sign_session_token = std::ranges::any_of(vector.headers, has_token);
  }
  std::erase_if(vector.headers, [](const auto& header) { return header.first.starts_with("X-Amz-"); });
  auto url = "https://" + vector.host + vector.target;
  Signable request{vector.method, url, vector.headers, vector.body, kSuiteTime, {}, {}};
  ASSERT_TRUE(make_aws_sigv4_signer(settings).value()->sign(request));
  for (const auto& [name, value] : request.added) {
    const auto wanted = std::ranges::find(signed_request.headers, name, &Headers::value_type::first);
    ASSERT_NE(wanted, signed_request.headers.end()) << name;
    EXPECT_EQ(value, wanted->second.substr(wanted->second.find_first_not_of(' '))) << name;
  }
  EXPECT_EQ(vector.headers.size() + request.added.size(), signed_request.headers.size());
}

INSTANTIATE_TEST_SUITE_P(Published, AwsSuite, ::testing::ValuesIn(vectors()), [](const auto& info) {
  auto name = info.param.stem().string();
  std::ranges::replace(name, '-', '_');
  return name;
});

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
