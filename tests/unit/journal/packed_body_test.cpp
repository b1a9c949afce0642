#include "journal/packed_body.hpp"

#include <random>

#include <gtest/gtest.h>

namespace patchbay::journal {
namespace {

std::string noise(std::size_t size) {
  std::mt19937 random(20261121);
  std::string text(size, '\0');
  for (auto& c : text) c = static_cast<char>(random());
  return text;
}

TEST(PackedBody, ComesBackAsItWas) {
  std::string json = "[";
  for (int i = 0; i < 300; ++i) json += R"({"url": "https://api.github.com/repos/octo/hello", "n": )" + std::to_string(i) + "},";
  for (const std::string& body : {std::string(), std::string("x"), std::string(255, 'a'), std::string(256, 'a'),
                                  std::string(1 << 20, '\0'), json, noise(11'500)}) {
    const PackedBody packed(body);
    EXPECT_EQ(packed.size(), static_cast<std::int64_t>(body.size()));
    EXPECT_LE(packed.stored().size(), body.size());
    EXPECT_EQ(unpack_body(packed.stored(), packed.size()).value(), body);
  }
  EXPECT_LT(PackedBody(json).stored().size(), json.size() / 4);
}

TEST(PackedBody, KeepsAsItCameWhatIsShortOrDoesNotShrink) {
  for (const std::string& body : {std::string(255, 'a'), noise(4096)}) {
    EXPECT_EQ(PackedBody(body).stored().data(), body.data());
  }
}

TEST(PackedBody, DamageIsAnError) {
  const std::string body(5000, 'a');
  const PackedBody packed(body);
  const std::string stored(packed.stored());
  EXPECT_FALSE(unpack_body(stored, 4999));
  EXPECT_FALSE(unpack_body(stored, 5001));
  EXPECT_FALSE(unpack_body(stored, -1));
  EXPECT_FALSE(unpack_body(stored, std::int64_t{1} << 40));
  EXPECT_FALSE(unpack_body(stored.substr(0, stored.size() / 2), 5000));
  EXPECT_FALSE(unpack_body(stored, 3)) << "longer than what was packed";
  const auto error = unpack_body(noise(100), 5000).error();
  EXPECT_EQ(error.code, Errc::internal);
  EXPECT_EQ(error.message, "a stored body is damaged: 100 bytes are no packed form of 5000 bytes");
}

}  // namespace
}  // namespace patchbay::journal
