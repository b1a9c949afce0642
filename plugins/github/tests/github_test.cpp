#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <nlohmann/json.hpp>
#include <set>

#include "github/simulator/github_simulator.hpp"
#include "github/src/text.hpp"
#include "harness/http.hpp"
#include "harness/scratch.hpp"
#include "plugin/verification.hpp"
#include "plugins/rig.hpp"

namespace patchbay::plugins_test {
namespace {

using nlohmann::json;
using plugin::Verb;
using simulators::GithubSimulator;

constexpr const char* kRepository = R"({"owner": "octo", "repo": "hello"})";

struct Github : testing::Test {
  GithubSimulator github{{.common = {.record_file = record_file()}, .repositories = {"octo/hello"}}};
  Rig rig{{.plugin = "github", .base_url = github.base_url(), .credentials = "Bearer ghp_simulated"}};

  plugin::Outcome watch(const std::string& trigger = "issues", const std::string& state = {}) {
    auto call = rig.call(Verb::watch, trigger, kRepository);
    call.state = state;
    return rig.run(std::move(call));
  }
  plugin::Outcome stop(const std::string& state) {
    auto call = rig.call(Verb::stop, "issues", kRepository);
    call.state = state;
    return rig.run(std::move(call));
  }
  plugin::Outcome deliver(const std::string& trigger, const std::string& params, const std::string& event,
                          const std::string& body) {
    return rig.run(rig.delivery(trigger, params, {{"x-github-event", event}, {"x-github-delivery", "guid-1"}}, body));
  }
  plugin::Outcome create_issue(const json& more = json::object(), int attempt = 1,
                               const std::string& key = "run:make") {
    json params{{"owner", "octo"}, {"repo", "hello"}, {"title", "A \"title\""}};
    params.update(more);
    auto call = rig.call(Verb::reaction, "create_issue", params.dump());
    call.attempt = attempt;
    call.key = key;
    return rig.run(std::move(call));
  }
};

std::string issue_payload(const std::string& action) {
  return json{{"action", action}, {"issue", {{"number", 1}}}, {"repository", {{"id", 1}}}, {"sender", {{"login", "o"}}}}
      .dump();
}

std::string push_payload(const std::string& ref) {
  return json{{"ref", ref}, {"before", "0"}, {"after", "1"}, {"repository", {{"id", 1}}}}.dump();
}

TEST_F(Github, CreatesTheHook) {
  const auto outcome = watch();
  ASSERT_FALSE(outcome.error) << outcome.error->message;
  ASSERT_EQ(github.hooks().size(), 1);
  const auto hook = github.hooks()[0];
  EXPECT_EQ(hook.url, "http://127.0.0.1:9/hooks/test-token");
  EXPECT_EQ(hook.events, std::vector<std::string>{"issues"});
  EXPECT_EQ(hook.content_type, "json");
  EXPECT_EQ(hook.insecure_ssl, "0");
  EXPECT_TRUE(hook.active);
  EXPECT_EQ(hook.repository.full_name(), "octo/hello");
  EXPECT_EQ(json::parse(outcome.state.value()).at("hook"), hook.id);
  const auto headers = github.requests().at(0).at("headers");
  EXPECT_EQ(headers.at("accept"), "application/vnd.github+json");
  EXPECT_EQ(headers.at("x-github-api-version"), "2022-11-28");
  EXPECT_EQ(headers.at("content-type"), "application/json");
}

// The plugin sees a reference only; the host puts the secret in its place, quoted as JSON wants it.
TEST_F(Github, GivesGitHubTheSecret) {
  auto call = rig.call(Verb::watch, "push", kRepository);
  call.callback_secret = Secret("a-secret-of-base64url_characters");
  ASSERT_FALSE(rig.run(std::move(call)).error);
  EXPECT_EQ(github.hooks().at(0).secret, "a-secret-of-base64url_characters");
}

TEST_F(Github, TakesOverTheHookThatACrashLeft) {
  ASSERT_FALSE(watch().error);  // its state was not committed
  const auto again = watch();
  ASSERT_FALSE(again.error) << again.error->message;
  ASSERT_EQ(github.hooks().size(), 1);
  EXPECT_EQ(json::parse(again.state.value()).at("hook"), github.hooks()[0].id);
}

TEST_F(Github, FindsTheHookOnALaterPage) {
  // Hooks of other services: many, each for an event of its own repository's choosing.
  harness::Http http;
  for (int i = 0; i < 120; ++i) {
    static constexpr const char* kEvents[] = {"fork",      "gollum",  "label", "member",
                                              "milestone", "release", "star",  "watch"};
    const json body{{"events", {kEvents[i % 8]}}, {"config", {{"url", "http://127.0.0.1:9/" + std::to_string(i)}}}};
    ASSERT_EQ(http.send("POST", github.base_url() + "/repos/octo/hello/hooks",
                        {{"Authorization", "token ghp_simulated"}, {"User-Agent", "test"}}, body.dump())
                  .status,
              201);
  }
  ASSERT_FALSE(watch().error);
  ASSERT_FALSE(watch().error);
  EXPECT_EQ(github.hooks().size(), 121);
}

TEST_F(Github, RenewsTheHook) {
  const auto first = watch();
  auto call = rig.call(Verb::watch, "issues", kRepository);
  call.state = *first.state;
  call.callback_secret = Secret("a-new-one");
  ASSERT_FALSE(rig.run(std::move(call)).error);
  ASSERT_EQ(github.hooks().size(), 1);
  EXPECT_EQ(github.hooks()[0].secret, "a-new-one");
}

TEST_F(Github, MakesTheHookAnewWhenSomebodyDeletedIt) {
  const auto first = watch();
  ASSERT_FALSE(stop(*first.state).error);
  const auto second = watch("issues", *first.state);
  ASSERT_FALSE(second.error);
  EXPECT_EQ(github.hooks().size(), 1);
  EXPECT_NE(*second.state, *first.state);
}

TEST_F(Github, DeletesTheHook) {
  const auto watched = watch();
  EXPECT_FALSE(stop(*watched.state).error);
  EXPECT_TRUE(github.hooks().empty());
  EXPECT_FALSE(stop(*watched.state).error);  // deleted already: as good
}

TEST_F(Github, DeletesTheHookThatACrashLeft) {
  ASSERT_FALSE(watch().error);
  EXPECT_FALSE(stop("").error);
  EXPECT_TRUE(github.hooks().empty());
  EXPECT_FALSE(stop("").error);
}

TEST_F(Github, SaysWhyAHookCannotBe) {
  auto call = rig.call(Verb::watch, "issues", R"({"owner": "octo", "repo": "other"})");
  EXPECT_EQ(rig.run(std::move(call)).error->message, "HTTP 404: Not Found");
  auto bad = rig.call(Verb::watch, "issues", kRepository);
  bad.callback_url = "ftp://127.0.0.1/";
  EXPECT_EQ(rig.run(std::move(bad)).error->message, "HTTP 422: Validation Failed: url url is not valid");
  auto path = rig.call(Verb::watch, "issues", R"({"owner": "..", "repo": "user"})");
  const auto refused = rig.run_unchecked(std::move(path));
  EXPECT_EQ(refused.error->code, Errc::invalid);
}

TEST_F(Github, KnowsRateLimitsFromRefusals) {
  github.fail_next({.status = 403, .retry_after_s = 30});
  const auto secondary = watch();
  EXPECT_EQ(secondary.error->code, Errc::exhausted);
  EXPECT_EQ(secondary.next, std::chrono::seconds(30));
  github.fail_next({.status = 403});
  const auto forbidden = watch();
  EXPECT_EQ(forbidden.error->code, Errc::denied);
  EXPECT_FALSE(may_pass(forbidden.error->code));
  github.fail_next({.status = 429});
  EXPECT_EQ(watch().next, std::chrono::minutes(1));
  github.fail_next({.status = 502});
  EXPECT_TRUE(may_pass(watch().error->code));
  EXPECT_TRUE(github.hooks().empty());
}

TEST(GithubRate, WaitsForTheReset) {
  ManualClock clock{Timestamp{std::chrono::sys_days{std::chrono::year{2026} / 11 / 21}}};
  GithubSimulator github{{.rate_limit = 1, .clock = &clock}};
  Rig rig{{.plugin = "github", .base_url = github.base_url(), .credentials = "Bearer ghp_simulated"}};
  ASSERT_FALSE(rig.run(rig.call(Verb::watch, "issues", kRepository)).error);
  clock.advance(std::chrono::minutes(10));
  rig.clock.advance(std::chrono::minutes(10));
  const auto refused = rig.run(rig.call(Verb::watch, "push", kRepository));
  EXPECT_EQ(refused.error->code, Errc::exhausted);
  EXPECT_EQ(refused.next, std::chrono::minutes(50));
}

TEST_F(Github, MakesTheDeliveryTheEvent) {
  const auto outcome = deliver("issues", kRepository, "issues", issue_payload("opened"));
  ASSERT_FALSE(outcome.error);
  ASSERT_EQ(outcome.events.size(), 1);
  EXPECT_EQ(outcome.events[0].key, "guid-1");
  EXPECT_TRUE(outcome.events[0].is_request_body);
  EXPECT_FALSE(outcome.state);
}

TEST_F(Github, IgnoresPingsAndForeignEvents) {
  for (const char* event : {"ping", "push", "issue_comment", ""}) {
    const auto outcome = deliver("issues", kRepository, event, issue_payload("opened"));
    EXPECT_FALSE(outcome.error) << event;
    EXPECT_TRUE(outcome.events.empty()) << event;
  }
}

TEST_F(Github, ChoosesActions) {
  const std::string some = R"({"owner": "octo", "repo": "hello", "actions": ["opened", "closed"]})";
  const std::string none = R"({"owner": "octo", "repo": "hello", "actions": []})";
  EXPECT_EQ(deliver("issues", some, "issues", issue_payload("closed")).events.size(), 1);
  EXPECT_EQ(deliver("issues", some, "issues", issue_payload("labeled")).events.size(), 0);
  EXPECT_EQ(deliver("issues", none, "issues", issue_payload("labeled")).events.size(), 1);
}

TEST_F(Github, ChoosesABranch) {
  const std::string main = R"({"owner": "octo", "repo": "hello", "branch": "main"})";
  EXPECT_EQ(deliver("push", main, "push", push_payload("refs/heads/main")).events.size(), 1);
  EXPECT_EQ(deliver("push", main, "push", push_payload("refs/heads/main/2")).events.size(), 0);
  EXPECT_EQ(deliver("push", main, "push", push_payload("refs/tags/main")).events.size(), 0);
  EXPECT_EQ(deliver("push", kRepository, "push", push_payload("refs/tags/v1")).events.size(), 1);
}

TEST_F(Github, RefusesADeliveryWithoutItsId) {
  const auto outcome =
      rig.run(rig.delivery("issues", kRepository, {{"x-github-event", "issues"}}, issue_payload("opened")));
  ASSERT_TRUE(outcome.error);
  EXPECT_TRUE(outcome.events.empty());
}

// What the simulator signs is what the manifest's verification accepts.
TEST_F(Github, VerifiesWhatGitHubSigns) {
  std::promise<plugin::WebhookRequest> first;
  std::atomic<int> count = 0;
  support::HttpServer receiver([&](support::Request request, support::HttpServer::Answer answer) {
    if (count++ == 0) {
      plugin::WebhookRequest seen{
          .method = request.method, .query = request.query, .headers = {}, .body = request.body};
      for (auto [name, value] : request.headers) {
        std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
        seen.headers.emplace_back(name, value);
      }
      first.set_value(std::move(seen));
    }
    answer({.status = 204});
  });
  auto call = rig.call(Verb::watch, "issues", kRepository);
  call.callback_url = receiver.base_url() + "/hooks/x";
  call.callback_secret = Secret("the-secret");
  ASSERT_FALSE(rig.run(std::move(call)).error);

  auto ping = first.get_future().get();
  EXPECT_EQ(rig.manifest().delivery_key_header, "x-github-delivery");
  const auto verifier = plugin::Verifier::create(rig.manifest().verification, Secret("the-secret"));
  ASSERT_TRUE(verifier);
  EXPECT_TRUE(verifier->verify(ping, rig.clock.now()));
  ping.body += " ";
  EXPECT_FALSE(verifier->verify(ping, rig.clock.now()));

  const json order{{"owner", "octo"},
                   {"repo", "hello"},
                   {"event", "issues"},
                   {"payload", {{"action", "opened"}}},
                   {"delivery", "g-7"}};
  const auto report = harness::Http().send("POST", github.base_url() + "/_sim/deliver", {}, order.dump()).json();
  EXPECT_EQ(report.at("delivery"), "g-7");
  EXPECT_EQ(report.at("deliveries").at(0).at("status"), 204);
  EXPECT_EQ(count, 2);
}

TEST_F(Github, TakesGitHubsOwnPayloads) {
  const std::filesystem::path folder = PATCHBAY_SOURCE_DIRECTORY "/../shared/data/github/webhook-payloads";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "the payloads are not here";
  int events = 0;
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto kind = entry.path().filename().string();
    const auto event = kind.substr(0, kind.find('.'));
    const auto body = harness::read_file(entry.path());
    for (const char* trigger : {"issues", "push"}) {
      const auto outcome = deliver(trigger, kRepository, event, body);
      ASSERT_FALSE(outcome.error) << kind << ": " << outcome.error->message;
      EXPECT_EQ(outcome.events.size(), event == trigger ? 1 : 0) << kind;
      events += static_cast<int>(outcome.events.size());
    }
    ++files;
  }
  EXPECT_GT(files, 40);
  EXPECT_EQ(events, 3);
}

TEST_F(Github, CreatesAnIssue) {
  const auto made =
      create_issue({{"body", "Text with <b> and \"quotes\""}, {"labels", {"bug"}}, {"assignees", {"octocat"}}});
  ASSERT_FALSE(made.error) << made.error->message;
  ASSERT_EQ(github.issues().size(), 1);
  const auto issue = github.issues()[0];
  EXPECT_EQ(issue.title, "A \"title\"");
  EXPECT_EQ(issue.body, "Text with <b> and \"quotes\"\n\n<!-- patchbay:run:make -->");
  EXPECT_EQ(issue.labels, std::vector<std::string>{"bug"});
  EXPECT_EQ(issue.assignees, std::vector<std::string>{"octocat"});
  const auto output = json::parse(made.output);
  EXPECT_EQ(output.at("number"), 1);
  EXPECT_EQ(output.at("html_url"), "https://github.com/octo/hello/issues/1");
  EXPECT_EQ(output.at("title"), "A \"title\"");
  EXPECT_EQ(output.at("state"), "open");
}

TEST_F(Github, FindsTheIssueOfALostAttempt) {
  ASSERT_FALSE(create_issue(json::object(), 1, "other-run:make").error);
  github.fail_next({.status = 502, .after = true});  // made, but the answer is lost
  const auto lost = create_issue();
  ASSERT_TRUE(lost.error);
  EXPECT_TRUE(may_pass(lost.error->code));
  for (int i = 0; i < 120; ++i) ASSERT_FALSE(create_issue(json::object(), 1, "later-" + std::to_string(i)).error);
  const auto found = create_issue(json::object(), 2);
  ASSERT_FALSE(found.error) << found.error->message;
  EXPECT_EQ(github.issues().size(), 122);
  EXPECT_EQ(json::parse(found.output).at("number"), 2);
}

TEST_F(Github, CreatesTheIssueThatAnEarlierAttemptDidNotMake) {
  ASSERT_FALSE(create_issue(json::object(), 1, "run:make-more").error);  // a key that begins alike
  ASSERT_FALSE(create_issue(json::object(), 2).error);
  EXPECT_EQ(github.issues().size(), 2);
}

TEST_F(Github, TellsWhatGitHubFindsWrong) {
  auto call = rig.call(Verb::reaction, "create_issue", R"({"owner": "octo", "repo": "hello", "title": ""})");
  const auto refused = rig.run_unchecked(std::move(call));
  EXPECT_EQ(refused.error->message, "HTTP 422: Validation Failed: title missing_field");
  EXPECT_EQ(refused.error->code, Errc::invalid);
}

TEST(GithubText, MakesCommentsSafe) {
  EXPECT_EQ(github::comment_safe("0190-7a:tell.1"), "0190-7a:tell.1");
  EXPECT_EQ(github::comment_safe("a--b"), "a-_2db");
  EXPECT_EQ(github::comment_safe("-->"), "-_2d_3e");
  EXPECT_EQ(github::comment_safe("a_b é"), "a_5fb_20_c3_a9");
}

TEST(GithubText, SplitsArrays) {
  using Elements = std::vector<std::string_view>;
  EXPECT_EQ(github::elements_of("[]"), Elements{});
  EXPECT_EQ(github::elements_of(" [ ]\n"), Elements{});
  EXPECT_EQ(github::elements_of(R"([{"a":"],[","b":[1,{"c":2}]},{"d":"\"}"},3])"),
            (Elements{R"({"a":"],[","b":[1,{"c":2}]})", R"({"d":"\"}"})", "3"}));
  EXPECT_EQ(github::elements_of(""), Elements{});
}

}  // namespace
}  // namespace patchbay::plugins_test
