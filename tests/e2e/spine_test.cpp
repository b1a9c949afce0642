// The way from a signed webhook to the message, in the real binary.
#include "e2e/spine.hpp"

#include <gmock/gmock.h>

#include "harness/clock.hpp"
#include "harness/signature.hpp"

namespace patchbay::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST_F(Spine, ASignedWebhookBecomesAMessage) {
  const auto report = simulators_.deliver({{"owner", "octo"},
                                           {"repo", "hello"},
                                           {"event", "issues"},
                                           {"payload", nlohmann::json::parse(issue_body("The door is stuck"))}});
  ASSERT_TRUE(wait_for_messages(1)) << report.dump();
  const auto message = simulators_.messages().front();
  EXPECT_EQ(message.content, "Codertocat opened The door is stuck");
  EXPECT_EQ(message.channel, kChannel);

  ASSERT_TRUE(wait_for_runs("completed", 1));
  const auto run = api_->get("/runs/" + api_->runs().front().at("id").get<std::string>());
  EXPECT_EQ(run.at("status"), "completed");
  ASSERT_EQ(run.at("steps").size(), 3U) << run.dump(2);
  EXPECT_EQ(run.at("steps")[1].at("port"), "true");
  EXPECT_EQ(run.at("steps")[2].at("status"), "completed");
  EXPECT_THAT(run.at("steps")[2].at("input").dump(), HasSubstr("The door is stuck"));
  const auto deliveries = api_->get("/deliveries").at("data");
  ASSERT_EQ(deliveries.size(), 2U) << "newest first, behind it the ping that GitHub sends for a new hook";
  EXPECT_EQ(deliveries[0].at("events"), 1);
  EXPECT_EQ(deliveries[0].at("status"), "processed");
}

TEST_F(Spine, ARunIsMadeAgain) {
  ASSERT_EQ(post_urgent_issue("d-1", "Once more").status / 100, 2);
  ASSERT_TRUE(wait_for_runs("completed", 1));
  const auto first = api_->runs().front().at("id").get<std::string>();
  const auto made = api_->call("POST", "/runs/" + first + "/replay");
  ASSERT_EQ(made.status, 202) << made.body;
  EXPECT_EQ(made.json().at("replay_of"), first);
  ASSERT_TRUE(wait_for_runs("completed", 2));
  EXPECT_EQ(count_messages("Once more"), 2U);
  const auto from = api_->call("POST", "/runs/" + first + "/replay?from=tell&version=current");
  EXPECT_EQ(from.status, 202) << from.body;
  ASSERT_TRUE(wait_for_runs("completed", 3));
  EXPECT_EQ(api_->call("POST", "/runs/" + first + "/replay?from=nowhere").status, 400);
  EXPECT_EQ(api_->call("POST", "/runs/" + first + "/replay?version=7").status, 400);
  EXPECT_EQ(api_->call("POST", "/runs/0190aaaa-0000-7000-8000-000000000001/replay").status, 404);
}

TEST_F(Spine, AFalseConditionEndsTheRunWithoutAMessage) {
  ASSERT_EQ(post_hook(issue_body("No hurry", {"question"}), "d-1").status / 100, 2);
  ASSERT_TRUE(wait_for_runs("completed", 1));
  EXPECT_THAT(simulators_.messages(), IsEmpty());
}

TEST_F(Spine, AnActionThatWasNotAskedForStartsNothing) {
  auto closed = nlohmann::json::parse(issue_body("Closed"));
  closed["action"] = "closed";
  EXPECT_EQ(post_hook(closed.dump(), "d-1").status / 100, 2);
  ASSERT_EQ(post_urgent_issue("d-2", "Opened").status / 100, 2);
  ASSERT_TRUE(wait_for_messages(1));
  EXPECT_EQ(api_->runs().size(), 1U);
  EXPECT_EQ(count_messages("Closed"), 0U);
}

TEST_F(Spine, TheSameDeliveryTwiceGivesOneRun) {
  EXPECT_EQ(post_urgent_issue("d-1").status / 100, 2);
  EXPECT_EQ(post_urgent_issue("d-1").status / 100, 2);
  EXPECT_EQ(post_urgent_issue("d-2", "Another one").status / 100, 2);
  ASSERT_TRUE(wait_for_runs("completed", 2));
  EXPECT_EQ(api_->runs().size(), 2U);
  EXPECT_EQ(count_messages("Spelling error"), 1U);
  EXPECT_EQ(count_messages("Another one"), 1U);
}

TEST_F(Spine, AWrongSignatureLeavesNothingButACounter) {
  const std::string body = issue_body("Forged");
  const std::string right = harness::github_signature(hook_.secret, body);
  std::string one_off = right;
  one_off.back() = one_off.back() == '0' ? '1' : '0';
  const std::vector<std::string> signatures = {"none",
                                               one_off,
                                               right.substr(0, right.size() - 1),
                                               right.substr(0, 7),
                                               right.substr(7),
                                               right + "0",
                                               harness::github_signature("another secret", body),
                                               harness::github_signature(hook_.secret, body + " ")};
  for (const auto& signature : signatures) {
    const auto reply = post_hook(body, "d-1", signature);
    EXPECT_EQ(reply.status, 401) << signature;
    EXPECT_EQ(reply.header("content-type"), "application/problem+json");
  }
  EXPECT_GE(metric("status=\"401\""), static_cast<double>(signatures.size()));
  EXPECT_EQ(api_->get("/deliveries").at("data").size(), 1U) << "the ping that GitHub sends for a new hook, no more";
  EXPECT_THAT(api_->runs(), IsEmpty());
  // Nor was the delivery's key taken: the right one still counts.
  ASSERT_EQ(post_hook(body, "d-1").status / 100, 2);
  EXPECT_TRUE(wait_for_messages(1));
}

TEST_F(Spine, APingStartsNothing) {
  const std::string body = R"({"zen": "Design for failure.", "hook_id": 1})";
  const harness::Headers headers{{"Content-Type", "application/json"},
                                 {"X-GitHub-Event", "ping"},
                                 {"X-GitHub-Delivery", "p-1"},
                                 {"X-Hub-Signature-256", harness::github_signature(hook_.secret, body)}};
  EXPECT_EQ(http_.send("POST", host_->url("/hooks/" + hook_.token), headers, body).status / 100, 2);
  EXPECT_THAT(api_->runs(), IsEmpty());
}

TEST_F(Spine, AnUnknownTokenIsNotFound) {
  hook_.token = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  const auto reply = post_urgent_issue("d-1");
  EXPECT_EQ(reply.status, 404);
  EXPECT_EQ(reply.header("content-type"), "application/problem+json");
}

TEST_F(Spine, ADeactivatedFlowIsStoppedAtTheProvider) {
  api_->deactivate(flow_);
  EXPECT_THAT(simulators_.hooks(), IsEmpty());
  EXPECT_THAT(simulators_.github_requests().dump(), HasSubstr("\"DELETE\""));
  const auto late = post_urgent_issue("d-1");
  EXPECT_TRUE(late.status == 404 || late.status == 410) << late.status;
  EXPECT_THAT(api_->runs(), IsEmpty());

  api_->activate(flow_);
  const auto hooks = simulators_.hooks();
  ASSERT_EQ(hooks.size(), 1U);
  hook_ = hooks.front();
  EXPECT_EQ(post_urgent_issue("d-2").status / 100, 2);
  EXPECT_TRUE(wait_for_messages(1));
}

TEST_F(Spine, WhatWasAnsweredBeforeAKillIsDoneAfterTheRestart) {
  for (int i = 0; i < 20; ++i) {
    const std::string number = std::to_string(i);
    ASSERT_EQ(post_urgent_issue("d-" + number, "number <" + number + ">").status / 100, 2);
  }
  host_->kill();
  host_->start();
  ASSERT_TRUE(wait_for_messages(20));
  ASSERT_TRUE(wait_for_runs("completed", 20));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(count_messages("<" + std::to_string(i) + ">"), 1U);
  // And the deliveries are still known.
  EXPECT_EQ(post_urgent_issue("d-0", "number <0>").status / 100, 2);
  EXPECT_EQ(api_->runs().size(), 20U);
}

TEST_F(Spine, AStepThatFailsForNowIsTriedAgainAfterAStop) {
  simulators_.fail_discord(503, 1000);
  ASSERT_EQ(post_urgent_issue("d-1").status / 100, 2);
  ASSERT_TRUE(harness::wait_until([&] { return api_->runs().size() == 1; }));
  EXPECT_EQ(host_->stop(), 0);
  EXPECT_THAT(simulators_.messages(), IsEmpty());
  simulators_.fail_discord(503, 0);
  host_->start();
  ASSERT_TRUE(wait_for_messages(1));
  ASSERT_TRUE(wait_for_runs("completed", 1));
  EXPECT_EQ(simulators_.messages().size(), 1U);
}

TEST_F(Spine, TheCommandLineExplainsARun) {
  ASSERT_EQ(post_urgent_issue("d-why").status / 100, 2);
  ASSERT_TRUE(wait_for_runs("completed", 1));
  const auto list = host_->command({"run", "list", "--json"});
  ASSERT_EQ(list.exit_code, 0);
  const std::string run = nlohmann::json::parse(list.output).at(0).at("id");
  const auto shown = host_->command({"run", "show", run});
  EXPECT_EQ(shown.exit_code, 0);
  EXPECT_THAT(shown.output, HasSubstr("tell"));
  for (const std::string& subject : {run, std::string("d-why")}) {
    const auto why = host_->command({"why", subject});
    EXPECT_EQ(why.exit_code, 0) << subject;
    EXPECT_THAT(why.output, HasSubstr("completed"));
  }
  EXPECT_NE(host_->command({"why", "no-such-delivery"}).exit_code, 0);
}

TEST_F(Spine, SecretsStayInside) {
  ASSERT_EQ(post_urgent_issue("d-1").status / 100, 2);
  ASSERT_TRUE(wait_for_messages(1));
  ASSERT_TRUE(wait_for_runs("completed", 1));
  const std::string seen = host_->log() + api_->get("/connections").dump() + api_->get("/flows").dump() +
                           api_->get("/runs/" + api_->runs().front().at("id").get<std::string>()).dump() +
                           api_->get("/deliveries").dump();
  for (const std::string& secret : {std::string(harness::kGithubToken), std::string(harness::kDiscordToken),
                                    hook_.secret, hook_.token, api_->token()}) {
    EXPECT_THAT(seen, Not(HasSubstr(secret)));
  }
  const std::string database =
      harness::read_file(folder_.path() / "patchbay.db") + harness::read_file(folder_.path() / "patchbay.db-wal");
  for (const std::string& secret : {std::string(harness::kGithubToken), hook_.secret, api_->token()}) {
    EXPECT_THAT(database, Not(HasSubstr(secret)));
  }
}

}  // namespace
}  // namespace patchbay::e2e
