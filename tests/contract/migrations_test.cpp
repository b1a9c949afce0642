// The schema's way up and down, on every driver.
#include "store/migrations.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "contract/places.hpp"

namespace patchbay::store {
namespace {

class MigrationsContract : public testing::TestWithParam<test::Adapter> {
 protected:
  void SetUp() override {
    place_ = GetParam().make();
    database_ = place_->open();
  }

  std::vector<std::string> schema() {
    std::vector<std::string> rows;
    auto read = database_->read([&](Transaction& transaction) -> Result<> {
      auto done =
          transaction.execute(place_->schema_query(), {}, [&](const Row& row) { rows.emplace_back(row.text(0)); });
      if (!done) return std::unexpected(done.error());
      return {};
    });
    EXPECT_TRUE(read) << read.error().message;
    return rows;
  }

  std::unique_ptr<test::Place> place_;
  std::unique_ptr<Database> database_;
};

INSTANTIATE_TEST_SUITE_P(Drivers, MigrationsContract, testing::ValuesIn(test::adapters()),
                         [](const auto& info) { return info.param.name; });

TEST_P(MigrationsContract, BeginEmptyAndEndAtTheLatest) {
  EXPECT_EQ(migration_state(*database_)->current, 0);
  ASSERT_TRUE(migrate_to_latest(*database_));
  const auto state = migration_state(*database_);
  ASSERT_TRUE(state);
  EXPECT_EQ(state->current, state->latest);
  EXPECT_EQ(state->latest, migrations().back().version);
  EXPECT_TRUE(migrate_to_latest(*database_)) << "a second time there is nothing to do";
}

TEST_P(MigrationsContract, GiveTheSameSchemaAfterUpDownUp) {
  (void)migration_state(*database_);
  const auto empty = schema();
  ASSERT_TRUE(migrate_to_latest(*database_));
  const auto first = schema();
  EXPECT_GT(first.size(), empty.size() + 20);
  ASSERT_TRUE(migrate(*database_, 0));
  EXPECT_EQ(schema(), empty);
  EXPECT_EQ(migration_state(*database_)->current, 0);
  ASSERT_TRUE(migrate_to_latest(*database_));
  EXPECT_EQ(schema(), first);
}

TEST_P(MigrationsContract, GoDownOverData) {
  ASSERT_TRUE(migrate_to_latest(*database_));
  ASSERT_TRUE(database_->run_script(
      "INSERT INTO users VALUES ('u', 'a@b', 'x', 'user', 1); INSERT INTO flows VALUES ('f', 'u', 'n', 'active', 1, "
      "'{}', 1, 1)"));
  const auto down = migrate(*database_, 0);
  EXPECT_TRUE(down) << down.error().message;
}

TEST_P(MigrationsContract, RefuseATextThatWasChangedAfterwards) {
  ASSERT_TRUE(migrate_to_latest(*database_));
  ASSERT_TRUE(database_->run_script("UPDATE schema_migrations SET sha256 = 'another' WHERE version = 1"));
  EXPECT_EQ(migration_state(*database_).error().code, Errc::conflict);
  const auto done = migrate_to_latest(*database_);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errc::conflict);
  EXPECT_THAT(done.error().message, testing::HasSubstr("migration 1 (initial)"));
}

TEST_P(MigrationsContract, RefuseADatabaseNewerThanTheProgram) {
  ASSERT_TRUE(migrate_to_latest(*database_));
  ASSERT_TRUE(database_->run_script("INSERT INTO schema_migrations VALUES (999, 'later', 'x', 1)"));
  const auto state = migration_state(*database_);
  ASSERT_TRUE(state);
  EXPECT_EQ(state->current, 999);
  EXPECT_EQ(migrate_to_latest(*database_).error().code, Errc::conflict);
  EXPECT_EQ(migrate(*database_, 0).error().code, Errc::conflict);
}

TEST_P(MigrationsContract, RefuseAVersionThatIsNone) {
  EXPECT_EQ(migrate(*database_, -1).error().code, Errc::invalid);
  EXPECT_EQ(migrate(*database_, migrations().back().version + 1).error().code, Errc::invalid);
}

TEST_P(MigrationsContract, LeaveNothingOfAStepThatFails) {
  // A table that stands in the way of the last one.
  ASSERT_TRUE(database_->run_script("CREATE TABLE dead_letters (id TEXT)"));
  (void)migration_state(*database_);
  const auto before = schema();
  EXPECT_FALSE(migrate_to_latest(*database_));
  EXPECT_EQ(schema(), before);
  EXPECT_EQ(migration_state(*database_)->current, 0);
}

}  // namespace
}  // namespace patchbay::store
