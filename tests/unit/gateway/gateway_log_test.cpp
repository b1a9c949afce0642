#include <unistd.h>

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/log.hpp"
#include "gateway/target.hpp"
#include "gateway_fixture.hpp"

namespace patchbay::gateway {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class AccessLog : public GatewayTest {
 protected:
  AccessLog() {
    std::string name = (std::filesystem::temp_directory_path() / "patchbay-access-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    log::configure({.level = log::Level::debug, .json = false, .file = folder_ / "log"});
  }
  ~AccessLog() override {
    log::configure({});
    std::filesystem::remove_all(folder_);
  }
  std::string text() {
    log::flush();
    std::ifstream in(folder_ / "log");
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void ask(std::string_view method, std::string_view target, std::string_view headers = "") {
    auto peer = client();
    peer->send(std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: h\r\n" + std::string(headers) +
               "\r\n");
    ASSERT_FALSE(peer->receive().empty());
  }
  std::filesystem::path folder_;
};

TEST_F(AccessLog, SaysWhoAskedForWhatAndHowItEnded) {
  start();
  ask("GET", "/livez", "X-Request-Id: my-id\r\n");
  EXPECT_THAT(text(), ::testing::ContainsRegex("127\\.0\\.0\\.1 GET /livez 200 3 [0-9.]+ms my-id"));
}

TEST_F(AccessLog, HoldsNeitherQueriesNorTokens) {
  start();
  ask("POST", "/hooks/abcdefSECRETsecretSECRETsecret?key=QUERYSECRET");
  ask("DELETE", "/hooks/abcdefSECRETsecretSECRETsecret");
  ask("GET", "/hooks/abcdefSECRETsecretSECRETsecret/");
  ask("GET", "/hooks//abcdefSECRETsecretSECRETsecret");
  ask("GET", "//HOOKS/abcdefSECRETsecretSECRETsecret");
  ask("GET", "/%68ooks/abcdefSECRETsecretSECRETsecret?QUERYSECRET");
  ask("POST", "/hooks/abcdefSECRETsecretSECRETsecret", "Content-Length: -1\r\n");
  EXPECT_THAT(text(), ::testing::AllOf(HasSubstr("POST /hooks/abcdef~ 204"), HasSubstr("DELETE /hooks/abcdef~ 405")));
  EXPECT_THAT(text(), ::testing::AllOf(Not(HasSubstr("SECRET")), Not(HasSubstr("Host"))));
}

TEST_F(AccessLog, SaysTheClientBehindATrustedProxy) {
  GatewaySettings settings;
  settings.trusted_proxies = {"127.0.0.1"};
  start(settings);
  ask("GET", "/livez", "X-Forwarded-For: 192.0.2.7\r\n");
  EXPECT_THAT(text(), HasSubstr("192.0.2.7 GET /livez 200"));
}

TEST_F(AccessLog, CanBeOff) {
  GatewaySettings settings;
  settings.access_log = false;
  start(settings);
  ask("GET", "/livez");
  EXPECT_THAT(text(), Not(HasSubstr("livez")));
}

TEST(Target, HasOneNormalForm) {
  for (const auto* text : {"/api/%7Ea/b%20c/%C3%A9/x%2fy/%252e", "/api//a/", "/api/a;b=c", "/oauth2/cb?x=%41"}) {
    const auto once = parse_target(text);
    ASSERT_TRUE(once) << text;
    const auto twice = parse_target(once->path);
    ASSERT_TRUE(twice) << once->path;
    EXPECT_EQ(once->path, twice->path);
  }
  EXPECT_EQ(parse_target("/api/%7Ea/x%2fy/%252e")->path, "/api/~a/x%2Fy/%252e");
}

}  // namespace
}  // namespace patchbay::gateway
