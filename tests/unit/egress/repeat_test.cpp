#include "egress/repeat.hpp"

#include <gtest/gtest.h>

namespace patchbay::egress {
namespace {

using namespace std::chrono_literals;

TEST(Repeat, RetryAfterInSecondsOrAsADate) {
  const auto now = parse_rfc3339("2026-11-21T05:00:00Z").value();
  EXPECT_EQ(retry_after("7", now), 7s);
  EXPECT_EQ(retry_after("0", now), 0s);
  EXPECT_EQ(retry_after("Sat, 21 Nov 2026 05:00:30 GMT", now), 30s);
  EXPECT_EQ(retry_after("Sat, 21 Nov 2026 04:00:00 GMT", now), 0s);
  EXPECT_EQ(retry_after("999999999999", now), 1'000'000'000s);
  for (const char* text : {"", "-1", "soon", "99999999999999999999999"})
    EXPECT_EQ(retry_after(text, now), std::nullopt) << text;
}

TEST(Repeat, BackOffGrowsToItsLimit) {
  constexpr auto kHighest = 0xffff'ffffU;
  EXPECT_EQ(back_off(1, 0), 0ms);
  EXPECT_EQ(back_off(1, kHighest), 200ms);
  EXPECT_EQ(back_off(2, kHighest), 400ms);
  EXPECT_EQ(back_off(3, kHighest / 2), 399ms);
  EXPECT_EQ(back_off(60, kHighest), 10s);
}

TEST(Repeat, OnlyWhatMayBeSentTwice) {
  HttpRequest request;
  for (const char* method : {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"}) {
    request.method = method;
    EXPECT_TRUE(is_repeatable(request)) << method;
  }
  for (const char* method : {"POST", "PATCH", "get"}) {
    request.method = method;
    EXPECT_FALSE(is_repeatable(request)) << method;
  }
  request.repeatable = true;
  EXPECT_TRUE(is_repeatable(request));
}

}  // namespace
}  // namespace patchbay::egress
