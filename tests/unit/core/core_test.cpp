#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/bytes.hpp"
#include "core/error.hpp"
#include "core/id.hpp"
#include "core/json.hpp"
#include "core/loop.hpp"
#include "core/time.hpp"

namespace patchbay {
namespace {

TEST(Errc, NamesAreUnambiguous) {
  for (int code = 0; code <= static_cast<int>(Errc::internal); ++code) {
    EXPECT_EQ(errc_named(name_of(static_cast<Errc>(code))), static_cast<Errc>(code));
  }
  EXPECT_EQ(http_status_of(Errc::exhausted), 503);
  EXPECT_FALSE(may_pass(Errc::denied));
}

TEST(Uuid, GrowsStrictlyAndIsVersion7) {
  ManualClock clock;
  std::set<Uuid> seen;
  Uuid last;
  for (int i = 0; i < 10'000; ++i) {
    if (i % 1000 == 0) clock.advance(std::chrono::milliseconds{1});
    const auto id = Uuid::make(clock.now());
    EXPECT_LT(last, id);
    last = id;
    seen.insert(id);
  }
  EXPECT_EQ(seen.size(), 10'000U);
  const auto text = last.to_string();
  EXPECT_EQ(text[14], '7');
  EXPECT_THAT(std::string("89ab"), ::testing::HasSubstr(std::string(1, text[19])));
  EXPECT_EQ(Uuid::parse(text), last);
}

TEST(Uuid, RefusesWhatIsNone) {
  for (const auto* text : {"", "0190a", "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5", "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5g",
                           "0190a1b2xc3d4-7e5f-8a9b-0c1d2e3f4a5b"}) {
    EXPECT_FALSE(Uuid::parse(text).has_value()) << text;
  }
}

TEST(Time, Rfc3339) {
  const auto time = parse_rfc3339("2026-11-21T05:02:09.123456789Z");
  ASSERT_TRUE(time.has_value());
  EXPECT_EQ(to_rfc3339(*time), "2026-11-21T05:02:09.123456Z");
  EXPECT_EQ(parse_rfc3339("2026-11-21T07:02:09.123456+02:00"), time);
  for (const auto* text : {"2026-11-21", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-11-21T25:00:00Z",
                           "2026-11-21T05:02:09", "2026-11-21T05:02:09Zx", "2026-11-21T05:02:09.Z"}) {
    EXPECT_FALSE(parse_rfc3339(text).has_value()) << text;
  }
}

TEST(Time, Durations) {
  EXPECT_EQ(parse_duration("2500ms"), std::chrono::milliseconds{2500});
  EXPECT_EQ(parse_duration("2d"), std::chrono::hours{48});
  for (const auto* text : {"", "5", "-1s", "1 s", "1w", "99999999999999d"}) {
    EXPECT_FALSE(parse_duration(text).has_value()) << text;
  }
}

TEST(Bytes, EncodingsAreInverse) {
  const std::string bytes("\x00\xff\x10 abc\xfe", 8);
  EXPECT_EQ(from_hex(to_hex(bytes)), bytes);
  EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
  EXPECT_EQ(from_base64(to_base64url(bytes)), bytes);
  EXPECT_FALSE(from_hex("abc").has_value());
  EXPECT_FALSE(from_hex("zz").has_value());
  EXPECT_FALSE(from_base64("a*b").has_value());
  EXPECT_TRUE(equal_in_constant_time("same", "same"));
  EXPECT_FALSE(equal_in_constant_time("same", "sane"));
  EXPECT_FALSE(equal_in_constant_time("same", "sames"));
}

TEST(Json, ReadsInPlace) {
  const auto document =
      JsonDocument::parse(R"({"a":{"b":[1,2.5,"x\n",true,null]},"big":18446744073709551615,"a/b":{"~":7}})");
  ASSERT_TRUE(document.has_value());
  const auto root = (*document)->root();
  EXPECT_EQ(root["a"]["b"][std::size_t{0}].integer(), 1);
  EXPECT_DOUBLE_EQ(root["a"]["b"][std::size_t{1}].number(), 2.5);
  EXPECT_EQ(root["a"]["b"][std::size_t{2}].string(), "x\n");
  EXPECT_TRUE(root["a"]["b"][std::size_t{3}].boolean());
  EXPECT_EQ(root["a"]["b"].size(), 5U);
  EXPECT_EQ(root["big"].type(), JsonType::number);
  EXPECT_EQ(root.at_pointer("/a~1b/~0").integer(), 7);
  EXPECT_FALSE(root["none"]["deeper"].exists());
  EXPECT_FALSE(root.at_pointer("/a/c").exists());
  EXPECT_EQ(root["a"].to_string(), R"({"b":[1,2.5,"x\n",true,null]})");
}

TEST(Json, RefusesWhatIsNone) {
  for (const auto* text : {"", "{", "{\"a\":}", "[1,]", "nul", "{} {}", "\"\xff\""}) {
    EXPECT_FALSE(JsonDocument::parse(text).has_value()) << text;
  }
}

TEST(Json, QuotesAnything) {
  EXPECT_EQ(json_quote("a\"b\\c\n\x01\x7f"), "\"a\\\"b\\\\c\\n\\u0001\x7f\"");
  EXPECT_EQ(json_quote("\xc3\xa9\xff!"), "\"\xc3\xa9\xef\xbf\xbd!\"");
  const std::string every_byte = [] {
    std::string text;
    for (int c = 0; c < 256; ++c) text += static_cast<char>(c);
    return text;
  }();
  EXPECT_TRUE(JsonDocument::parse(json_quote(every_byte)).has_value());
}

TEST(Loop, RunsPostsInOrderAndTimersOnce) {
  Loop loop;
  std::string order;
  loop.post([&] { order += 'a'; });
  loop.post([&] { order += 'b'; });
  bool fired = false;
  loop.after(std::chrono::milliseconds{1}, [&] { fired = true; });
  const auto cancelled = loop.after(std::chrono::milliseconds{1}, [&] { order += 'x'; });
  loop.post([&] { loop.cancel(cancelled); });
  EXPECT_TRUE(loop.run_until([&] { return fired; }, std::chrono::seconds{5}));
  EXPECT_EQ(order, "ab");
}

}  // namespace
}  // namespace patchbay
