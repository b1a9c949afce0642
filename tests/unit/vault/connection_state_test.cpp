#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vault/connection.hpp"

namespace patchbay::vault {
namespace {

using State = ConnectionState;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::array kAll{State::active, State::disconnected, State::errored, State::pending_reauth, State::needs_reconsent};

// All 5 x 5 pairs; a row is where from, a column is where to, in the order of kAll.
TEST(ConnectionState, HasTheseTransitionsAndNoOthers) {
  constexpr std::array<std::array<bool, 5>, 5> kAllowed{{
      {false, true, true, true, true},    // active
      {true, false, false, false, false},  // disconnected
      {true, true, false, true, false},    // errored
      {true, true, false, false, false},   // pending_reauth
      {true, true, false, true, false},    // needs_reconsent
  }};
  for (std::size_t from = 0; from < kAll.size(); ++from) {
    for (std::size_t to = 0; to < kAll.size(); ++to) {
      EXPECT_EQ(may_become(kAll[from], kAll[to]), kAllowed[from][to]) << name_of(kAll[from]) << " -> " << name_of(kAll[to]);
    }
  }
}

TEST(ConnectionState, HasANameThatReadsBack) {
  for (const auto state : kAll) EXPECT_EQ(parse_connection_state(name_of(state)), state);
  EXPECT_EQ(parse_connection_state("paused"), std::nullopt);
}

TEST(Scopes, AreReadHoweverTheyAreSeparated) {
  EXPECT_THAT(parse_scopes("repo,gist"), ElementsAre("gist", "repo"));
  EXPECT_THAT(parse_scopes(" user:read:chat  moderator:read:followers user:read:chat "), ElementsAre("moderator:read:followers", "user:read:chat"));
  EXPECT_THAT(parse_scopes(""), IsEmpty());
  EXPECT_EQ(to_text(parse_scopes("b a")), "a b");
}

TEST(Scopes, MissingOnesAreNamed) {
  EXPECT_THAT(missing_scopes(parse_scopes("a b"), {"c", "a"}), ElementsAre("c"));
  EXPECT_THAT(missing_scopes(parse_scopes("a b"), {}), IsEmpty());
}

}  // namespace
}  // namespace patchbay::vault
