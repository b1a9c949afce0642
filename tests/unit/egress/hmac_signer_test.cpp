#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "egress/signer.hpp"

namespace patchbay::egress::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Algorithm = HmacScheme::Algorithm;

const std::string kSentence = "The quick brown fox jumps over the lazy dog";

class Hmac : public ::testing::Test {
 protected:
  Hmac() { scheme.key = Secret("key"); }
  Result<> sign(const std::string& body = kSentence) {
    added.clear();
    Signable request{method, url, headers, body, Timestamp{std::chrono::seconds{1'700'000'000}}, {}, {}};
    auto done = make_hmac_signer(scheme).value()->sign(request);
    added = request.added;
    return done;
  }
  std::string signature(const std::string& body = kSentence) {
    EXPECT_TRUE(sign(body));
    return added.at(0).second;
  }
  // That of text alone.
  std::string signature_of_text(const std::string& text) {
    auto plain = scheme;
    plain.signed_parts = {"body"};
    std::swap(plain, scheme);
    const auto result = signature(text);
    std::swap(plain, scheme);
    return result;
  }
  Error refusal() const {
    const auto made = make_hmac_signer(scheme);
    return made ? Error{Errc::internal, "it was taken"} : made.error();
  }

  HmacScheme scheme;
  std::string method = "POST";
  std::string url = "https://api.example/v1/a%20b?x=1&y=%2F";
  Headers headers;
  Headers added;
};

// The well-known digests of en.wikipedia.org/wiki/HMAC; that of SHA-512 is from the openssl command.
TEST_F(Hmac, IsTheKnownOne) {
  EXPECT_EQ(signature(), "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
  scheme.algorithm = Algorithm::sha1;
  EXPECT_EQ(signature(), "de7c9b85b8b78aa6bc8a7a36f70a90701c9db4d9");
  scheme.encoding = HmacScheme::Encoding::base64;
  EXPECT_EQ(signature(), "3nybhbi3iqa8ino29wqQcBydtNk=");
  scheme.algorithm = Algorithm::sha512;
  EXPECT_EQ(signature(), "tCrwkFe6weLUFwjkipAuCbX/fxKrQopP6GZTxz3SSPuC+UilSfe3kaW0GRXuTR7Dk1NX5OIxclDQNyr6Lr7rOg==");
}

TEST_F(Hmac, StandsInItsHeaderBehindItsPrefix) {
  scheme.header = "X-Hub-Signature-256";
  scheme.prefix = "sha256=";
  EXPECT_EQ(signature(), "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
  EXPECT_EQ(added.at(0).first, "X-Hub-Signature-256");
}

TEST_F(Hmac, GoesOverThePartsInTheirOrder) {
  headers = {{"X-Id", "id-7"}};
  scheme.timestamp_header = "X-Time";
  scheme.signed_parts = {"method",    "text:|",      "path",          "text:?", "query",
                         "timestamp", "header:x-id", "header:x-time", "body"};
  EXPECT_EQ(signature("B"), signature_of_text("POST|/v1/a%20b?x=1&y=%2F1700000000id-71700000000B"));
  EXPECT_EQ(added.at(1), (std::pair<std::string, std::string>("X-Time", "1700000000")));
}

TEST_F(Hmac, AnEmptyPathIsASlash) {
  url = "https://api.example?x";
  scheme.signed_parts = {"path", "query"};
  EXPECT_EQ(signature(), signature_of_text("/x"));
}

TEST_F(Hmac, AHeaderThatIsSignedMustBeThereOnce) {
  scheme.signed_parts = {"header:x-id"};
  EXPECT_EQ(sign().error().code, Errc::invalid);
  headers = {{"X-Id", "value-1"}, {"x-id", "value-2"}};
  const auto twice = sign().error();
  EXPECT_THAT(twice.message, HasSubstr("x-id that is to be signed stands there twice"));
  EXPECT_THAT(twice.message, Not(HasSubstr("value")));
  headers.pop_back();
  EXPECT_EQ(signature(), signature_of_text("value-1"));
}

TEST_F(Hmac, RefusesASchemeThatCannotWork) {
  const auto good = scheme;
  scheme.key = {};
  EXPECT_THAT(refusal().message, HasSubstr("needs a key"));
  for (const auto& parts : std::vector<std::vector<std::string>>{
           {}, {"bodies"}, {"timestamp"}, {"header:"}, {"header:x-signature"}, {"header:a b"}}) {
    scheme = good;
    scheme.signed_parts = parts;
    EXPECT_EQ(refusal().code, Errc::invalid);
  }
  for (const char* header : {"a b", "Host", "x\r\ny"}) {
    scheme = good;
    scheme.header = header;
    EXPECT_EQ(refusal().code, Errc::invalid) << header;
    scheme = good;
    scheme.timestamp_header = header;
    EXPECT_EQ(refusal().code, Errc::invalid) << header;
  }
}

}  // namespace
}  // namespace patchbay::egress::testing
