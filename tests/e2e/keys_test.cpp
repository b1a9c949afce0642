// The vault's keys change under a host that works.
#include <sys/resource.h>

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "e2e/spine.hpp"
#include "harness/clock.hpp"
#include "harness/load.hpp"
#include "support/postgresql_server.hpp"

namespace patchbay::e2e {
namespace {

using ::testing::HasSubstr;
using nlohmann::json;

class Keys : public Spine {
 protected:
  json keys(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "keys");
    arguments.emplace_back("--json");
    const auto done = host_->command(std::move(arguments));
    EXPECT_EQ(done.exit_code, 0) << done.output << harness::read_file(folder_.path() / "command.log");
    return json::parse(done.output, nullptr, false);
  }
  std::string refusal(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "keys");
    std::filesystem::remove(folder_.path() / "command.log");
    EXPECT_EQ(host_->command(std::move(arguments)).exit_code, 1);
    return harness::read_file(folder_.path() / "command.log");
  }
};

TEST_F(Keys, AreListedRotatedMovedAndDropped) {
  const auto before = keys({"list"}).at("keys");
  ASSERT_EQ(before.size(), 1U);
  EXPECT_EQ(before[0].at("state"), "active");
  EXPECT_EQ(before[0].at("records"), 3) << "two accounts and a watch";
  const std::string old = before[0].at("id");
  EXPECT_THAT(refusal({"drop", old}), HasSubstr("3 records are sealed with key '" + old + "'"));

  const std::string made = keys({"rotate"}).at("id");
  api_->connect("discord", "other", harness::kDiscordToken);  // by the running host
  auto listed = keys({"list"}).at("keys");
  EXPECT_EQ(listed[0].at("state"), "readable");
  EXPECT_EQ(listed[0].at("records"), 3);
  EXPECT_EQ(listed[1].at("id"), made);
  EXPECT_EQ(listed[1].at("records"), 1) << "without a restart";
  EXPECT_THAT(refusal({"drop", made}), HasSubstr("1 records"));

  const auto moved = keys({"re-encrypt"});
  EXPECT_EQ(moved.at("sealed_anew"), 3);
  EXPECT_EQ(moved.at("records"), 4);
  EXPECT_EQ(keys({"re-encrypt"}).at("sealed_anew"), 0);
  EXPECT_EQ(keys({"drop", old}).at("state"), "dropped");
  EXPECT_EQ(keys({"list"}).at("keys")[0].at("state"), "dropped");
  EXPECT_THAT(refusal({"drop", "k0"}), HasSubstr("no key 'k0'"));

  ASSERT_EQ(post_urgent_issue("d-1").status / 100, 2) << "the host goes on";
  ASSERT_EQ(host_->stop(), 0);
  host_->start();
  ASSERT_EQ(post_urgent_issue("d-2").status / 100, 2) << "and starts";
  EXPECT_TRUE(wait_for_messages(2));
}

TEST_F(Keys, OfAnotherFileStopTheStart) {
  ASSERT_EQ(host_->stop(), 0);
  const auto made = host_->command({"keys", "init"}, {"PATCHBAY_KEY_FILE=" + (folder_.path() / "other.key").string()});
  ASSERT_EQ(made.exit_code, 0);
  std::filesystem::rename(folder_.path() / "other.key", folder_.path() / "patchbay.key");
  EXPECT_THROW(host_->start(), std::runtime_error);
  EXPECT_THAT(host_->log(), HasSubstr("which is not in"));
}

TEST_F(Keys, AreNotInCoreDumps) {
  rlimit limit{1, 1};
  ASSERT_EQ(::prlimit(host_->process().pid(), RLIMIT_CORE, nullptr, &limit), 0);
  EXPECT_EQ(limit.rlim_max, 0U);
}

class KeysUnderLoad : public Keys, public ::testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) settings_.database = support::PostgresqlServer::shared().make_database();
    Spine::SetUp();
  }
};

TEST_P(KeysUnderLoad, ARotationFailsNoneOfAThousandReactions) {
  constexpr std::size_t kReactions = 1'000;
  constexpr int kAccounts = 60;
  for (int i = 0; i < kAccounts; ++i) api_->connect("github", "account " + std::to_string(i), harness::kGithubToken);

  harness::Load load({.target = harness::hook_target(*host_, simulators_),
                      .body = issue_body("BID000000000000"),
                      .concurrency = 16,
                      .count = kReactions,
                      .rate = 150});
  std::atomic<bool> ended = false;
  std::vector<harness::Sent> sent;
  std::thread waiting([&] {
    sent = load.finish();
    ended = true;
  });
  int rotations = 0;
  for (; !ended || rotations < 3; ++rotations) {
    keys({"rotate"});
    api_->connect("github", "meanwhile " + std::to_string(rotations), harness::kGithubToken);  // the host seals, too
    const auto flow = api_->create_flow(demo_flow());
    api_->activate(flow);
    api_->deactivate(flow);
    EXPECT_GE(keys({"re-encrypt"}).at("records"), kAccounts + 3);
    const auto listed = keys({"list"}).at("keys");
    for (const auto& key : listed) {
      if (key.at("state") == "readable") keys({"drop", key.at("id")});
    }
  }
  waiting.join();
  EXPECT_EQ(std::ranges::count_if(sent, [](const auto& one) { return one.accepted(); }), std::ptrdiff_t{kReactions});
  EXPECT_TRUE(harness::wait_until([&] { return api_->count_runs("status=completed") >= kReactions; }, std::chrono::seconds(60)));
  EXPECT_EQ(api_->count_runs("status=failed"), 0U);
  EXPECT_EQ(simulators_.messages().size(), kReactions);
  EXPECT_EQ(keys({"re-encrypt"}).at("sealed_anew"), 0);

  ASSERT_EQ(host_->stop(), 0);
  host_->start();
  EXPECT_EQ(post_urgent_issue("last", "after it all").status / 100, 2);
  EXPECT_TRUE(harness::wait_until([&] { return count_messages("after it all") == 1; }));
  host_->stop();
}

INSTANTIATE_TEST_SUITE_P(Databases, KeysUnderLoad, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "PostgreSQL" : "SQLite"; });

}  // namespace
}  // namespace patchbay::e2e
