#include "egress/target.hpp"

#include <gtest/gtest.h>

namespace patchbay::egress {
namespace {

TEST(Target, ReadsOriginHostAndPort) {
  const auto target = parse_target("HTTPS://API.GitHub.com/repos?x=1#y").value();
  EXPECT_TRUE(target.tls);
  EXPECT_EQ(target.port, 443);
  EXPECT_EQ(target.host(), "api.github.com");
  EXPECT_EQ(target.origin, "https://api.github.com:443");
  EXPECT_EQ(parse_target("http://[::1]:8080/").value().host(), "[::1]");
  EXPECT_EQ(parse_target("http://a").value().port, 80);
  EXPECT_EQ(parse_target("https://a:/").value().port, 443);
}

TEST(Target, RefusesWhatTwoParsersMayReadDifferently) {
  for (const std::string url : {"",
                                "api.github.com",
                                "/path",
                                "ftp://a/",
                                "file:///etc/passwd",
                                "gopher://a/",
                                "http:a",
                                "http:///path",
                                "https://a b/",
                                "https://a\r\nX: y/",
                                "https://a/\x01",
                                "https://a/\x7f",
                                "https://a\\@b/",
                                "https://%61/",
                                "https://a:0/",
                                "https://a:65536/",
                                "https://a:x/",
                                "https://a:80x/",
                                "https://a:80:90/",
                                "https://a:80b.evil.org/",
                                "https://[::1]x/",
                                "https://[::1",
                                "https://m\xc3\xbcller.de/",
                                "https://a|b/",
                                "https://a/ x",
                                "https://[fe80::1%25eth0]/"}) {
    const auto target = parse_target(url);
    ASSERT_FALSE(target) << url;
    EXPECT_EQ(target.error().code, Errc::invalid) << url;
  }
  EXPECT_FALSE(parse_target(std::string_view("https://a/\0b", 12)));
  EXPECT_EQ(parse_target("https://user:pw@a/").error().code, Errc::denied);
  EXPECT_EQ(parse_target("https://a@b/").error().code, Errc::denied);
  EXPECT_EQ(parse_target("https://@b/").error().code, Errc::denied);
  EXPECT_FALSE(parse_target("https://a@b@c/"));
}

TEST(Target, AllowList) {
  const std::vector<std::string> allowed{"api.github.com", "*.discord.gg", "::1"};
  EXPECT_TRUE(is_host_allowed(allowed, "api.github.com"));
  EXPECT_TRUE(is_host_allowed(allowed, "API.github.com"));
  EXPECT_TRUE(is_host_allowed(allowed, "gateway.discord.gg"));
  EXPECT_TRUE(is_host_allowed(allowed, "a.b.discord.gg"));
  EXPECT_TRUE(is_host_allowed(allowed, "[::1]"));
  for (const char* host : {"github.com", "xapi.github.com", "api.github.com.evil.org", "api.github.com.", "discord.gg",
                           "evildiscord.gg", ".discord.gg", ""}) {
    EXPECT_FALSE(is_host_allowed(allowed, host)) << host;
  }
  EXPECT_TRUE(is_host_allowed({"*"}, "anything"));
  EXPECT_FALSE(is_host_allowed({}, "anything"));
}

TEST(Target, ResolvesRedirects) {
  const auto from = [](std::string_view location) { return resolve_redirect("https://a.org/x/y?q", location).value(); };
  EXPECT_EQ(from("/z"), "https://a.org/z");
  EXPECT_EQ(from("z"), "https://a.org/x/z");
  EXPECT_EQ(from("../z?1#f"), "https://a.org/z?1");
  EXPECT_EQ(from("//b.org/z"), "https://b.org/z");
  EXPECT_EQ(from("http://b.org:81/z"), "http://b.org:81/z");
  EXPECT_EQ(from("/a b\xc3\xa9"), "https://a.org/a%20b%C3%A9");
  EXPECT_FALSE(resolve_redirect("https://a.org/", "https://[x/"));
}

TEST(Target, PathForTheLogHasNoQuery) {
  EXPECT_EQ(path_of("https://a.org/x/y?token=1#z"), "/x/y");
  EXPECT_EQ(path_of("https://a.org?token=1"), "/");
  EXPECT_EQ(path_of("https://a.org"), "/");
  EXPECT_EQ(path_of("reference"), "");
}

}  // namespace
}  // namespace patchbay::egress
