#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "aws_example.hpp"
#include "egress/signing/crypto.hpp"
#include "egress/signing/sigv4.hpp"

namespace patchbay::egress::testing {
namespace {

namespace fs = std::filesystem;

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

}  // namespace
}  // namespace patchbay::egress::testing
