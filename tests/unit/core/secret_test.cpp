#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/bytes.hpp"
#include "core/secret_memory.hpp"

namespace patchbay {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

// The VmFlags of the mapping that holds the address: proc(5).
std::string flags_at(const void* address) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    if (inside && line.starts_with("VmFlags:")) return line + " ";
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char dash = 0;
    std::istringstream range(line);
    if (range >> std::hex >> begin >> dash >> end && dash == '-') inside = begin <= wanted && wanted < end;
  }
  return {};
}

TEST(Secret, IsNotInCoreDumps) {
  for (const std::size_t size : {1U, 40U, 4'095U, 4'096U, 100'000U}) {
    const Secret secret(std::string(size, 's'));
    EXPECT_THAT(flags_at(secret.reveal().data()), HasSubstr(" dd ")) << size;
  }
}

TEST(Secret, IsWipedWhenItGoes) {
  const char* place = nullptr;
  {
    const Secret secret(std::string(40, 's'));
    place = secret.reveal().data();
  }
  // The piece is free and still ours; its first bytes are the list of the free ones.
  EXPECT_THAT(std::string(place + 8, 32), Each('\0'));
}

TEST(Secret, WipesTheStringThatItIsMadeFrom) {
  std::string text(100, 's');
  const char* place = text.data();
  const Secret secret(std::move(text));
  EXPECT_EQ(secret.reveal(), std::string(100, 's'));
  EXPECT_NE(secret.reveal().data(), place);
}

TEST(Secret, CopiesAndMovesLikeAValue) {
  Secret one(std::string("one"));
  Secret copy = one;
  Secret moved = std::move(one);
  EXPECT_TRUE(one.empty());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(copy.reveal(), "one");
  EXPECT_EQ(moved.reveal(), "one");
  copy = Secret(std::string("two"));
  moved = copy;
  auto& same = moved;
  moved = same;
  EXPECT_EQ(moved.reveal(), "two");
  EXPECT_EQ(Secret().reveal(), "");
  EXPECT_NE(Secret().reveal().data(), nullptr);
  EXPECT_EQ(moved.reveal().data()[3], '\0') << "C libraries want it";
  EXPECT_EQ(Secret::random(32).reveal().size(), 32U);
  EXPECT_NE(Secret::random(32).reveal(), Secret::random(32).reveal());
}

TEST(SecretMemory, SmallOnesShareWhatTheyNeed) {
  std::vector<Secret> tokens;
  for (int i = 0; i < 100'000; ++i) tokens.emplace_back(std::to_string(i) + std::string(30, '.'));
  for (int i = 0; i < 100'000; i += 997) ASSERT_EQ(tokens[static_cast<std::size_t>(i)].reveal(), std::to_string(i) + std::string(30, '.'));
  const auto [low, high] = std::minmax_element(tokens.begin(), tokens.end(), [](const auto& a, const auto& b) { return a.reveal().data() < b.reveal().data(); });
  EXPECT_LT(high->reveal().data() - low->reveal().data(), 64 << 20);
}

}  // namespace
}  // namespace patchbay
