#include "github/simulator/github_simulator.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "harness/http.hpp"
#include "harness/signature.hpp"
#include "plugins/rig.hpp"

namespace patchbay::plugins_test {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr const char* kHooks = "/repos/octo/hello/hooks";
constexpr const char* kIssues = "/repos/octo/hello/issues";

struct GithubSimulator : testing::Test {
  ManualClock clock;
  simulators::GithubSettings settings{.common = {.record_file = record_file()}, .clock = &clock};
  std::optional<simulators::GithubSimulator> github;
  harness::Http http;

  void SetUp() override { restart(); }
  void restart() {
    github.reset();
    github.emplace(settings);
  }

  harness::Reply call(const std::string& method, const std::string& path, const json& body = nullptr,
                      const std::string& authorization = "Bearer ghp_simulated") {
    harness::Headers headers{{"User-Agent", "test"}, {"Accept", "application/vnd.github+json"}};
    if (!authorization.empty()) headers.emplace_back("Authorization", authorization);
    return http.send(method, github->base_url() + path, headers, body.is_null() ? "" : body.dump());
  }
  static json hook(const std::string& url = "http://127.0.0.1:9/in", const json& events = {"issues"}) {
    return {{"name", "web"}, {"events", events}, {"config", {{"url", url}, {"content_type", "json"}, {"secret", "s"}}}};
  }
  std::string hook_path(const json& made) { return std::string(kHooks) + "/" + made.at("id").dump(); }
};

TEST_F(GithubSimulator, WantsAUserAgentAndAToken) {
  EXPECT_EQ(http.send("GET", github->base_url() + kHooks, {{"User-Agent", ""}}).status, 403);
  EXPECT_EQ(call("GET", kHooks, nullptr, "").json().at("message"), "Requires authentication");
  const auto bad = call("GET", kHooks, nullptr, "Bearer other");
  EXPECT_EQ(bad.status, 401);
  EXPECT_EQ(bad.json().at("message"), "Bad credentials");
  EXPECT_EQ(bad.json().at("documentation_url"), "https://docs.github.com/rest");
  EXPECT_EQ(call("GET", kHooks, nullptr, "token ghp_simulated").status, 200);
}

TEST_F(GithubSimulator, KeepsHooks) {
  const auto made = call("POST", kHooks, hook());
  ASSERT_EQ(made.status, 201);
  const auto id = made.json().at("id");
  EXPECT_EQ(made.json().at("config").at("secret"), "********");
  EXPECT_EQ(made.header("location"), made.json().at("url"));
  const auto path = hook_path(made.json());
  EXPECT_EQ(call("GET", path).json().at("id"), id);
  EXPECT_EQ(call("GET", kHooks).json().size(), 1);
  EXPECT_EQ(call("PATCH", path, {{"active", false}, {"events", {"push"}}}).json().at("active"), false);
  EXPECT_EQ(github->hooks().at(0).secret, "s");  // the configuration was not named
  EXPECT_EQ(call("POST", path + "/pings").status, 204);
  EXPECT_EQ(call("GET", "/_sim/hooks").json().at("hooks").at(0).at("config").at("secret"), "s");
  EXPECT_EQ(call("DELETE", path).status, 204);
  EXPECT_EQ(call("DELETE", path).status, 404);
  EXPECT_EQ(call("GET", "/repos/octo/other/hooks").json(), json::array());
}

TEST_F(GithubSimulator, ValidatesHooks) {
  ASSERT_EQ(call("POST", kHooks, hook()).status, 201);
  struct Case {
    json body;
    const char* expected;
  };
  auto no_url = hook();
  no_url["config"].erase("url");
  auto other_name = hook();
  other_name["name"] = "email";
  const Case cases[] = {{hook(), "Hook already exists on this repository"},
                        {no_url, "missing_field"},
                        {hook("ftp://x"), "url is not valid"},
                        {hook("http://x", {"no_such"}), "not a valid event"},
                        {hook("http://x", json::array()), "missing_field"},
                        {other_name, "invalid"}};
  for (const auto& [body, expected] : cases) {
    const auto reply = call("POST", kHooks, body);
    EXPECT_EQ(reply.status, 422) << body;
    EXPECT_EQ(reply.json().at("message"), "Validation Failed") << body;
    EXPECT_NE(reply.json().at("errors").dump().find(expected), std::string::npos) << reply.body;
  }
  EXPECT_EQ(call("POST", kHooks, hook("http://127.0.0.1:9/in", {"push"})).status, 201);  // events do not overlap
  EXPECT_EQ(http.send("POST", github->base_url() + kHooks,
                      {{"User-Agent", "t"}, {"Authorization", "Bearer ghp_simulated"}}, "{")
                .status,
            400);
}

TEST_F(GithubSimulator, AllowsTwentyHooksAnEvent) {
  for (int i = 0; i < 20; ++i)
    ASSERT_EQ(call("POST", kHooks, hook("http://127.0.0.1:9/" + std::to_string(i))).status, 201);
  const auto refused = call("POST", kHooks, hook("http://127.0.0.1:9/20"));
  EXPECT_EQ(refused.status, 422);
  EXPECT_NE(refused.body.find("cannot have more than 20 hooks"), std::string::npos);
}

TEST_F(GithubSimulator, PagesThroughLists) {
  for (int i = 0; i < 5; ++i) ASSERT_EQ(call("POST", kIssues, {{"title", std::to_string(i)}}).status, 201);
  const auto first = call("GET", std::string(kIssues) + "?per_page=2");
  ASSERT_EQ(first.json().size(), 2);
  EXPECT_EQ(first.json()[0].at("number"), 5);
  EXPECT_EQ(first.header("link"), "<" + github->base_url() + kIssues + "?per_page=2&page=2>; rel=\"next\"");
  const auto last = call("GET", std::string(kIssues) + "?per_page=2&page=3");
  EXPECT_EQ(last.json().size(), 1);
  EXPECT_EQ(last.header("link"), "");
  EXPECT_EQ(call("GET", std::string(kIssues) + "?state=closed").json(), json::array());
}

TEST_F(GithubSimulator, ValidatesIssues) {
  EXPECT_EQ(call("POST", kIssues, {{"body", "no title"}}).json().at("errors").at(0).at("code"), "missing_field");
  EXPECT_EQ(call("POST", kIssues, {{"title", std::string(257, 'x')}}).status, 422);
  EXPECT_EQ(call("POST", kIssues, {{"title", 42}}).json().at("title"), "42");
  EXPECT_EQ(call("POST", kIssues, {{"title", "x"}, {"labels", {7}}}).status, 422);
  EXPECT_EQ(
      call("POST", kIssues, {{"title", "x"}, {"labels", {{{"name", "bug"}}}}}).json().at("labels").at(0).at("name"),
      "bug");
}

TEST_F(GithubSimulator, KnowsItsRepositories) {
  settings.repositories = {"octo/hello"};
  restart();
  EXPECT_EQ(call("GET", kHooks).status, 200);
  EXPECT_EQ(call("GET", "/repos/octo/other/hooks").json().at("message"), "Not Found");
  EXPECT_EQ(call("GET", "/users/octo").status, 404);
}

TEST_F(GithubSimulator, LimitsTheRate) {
  settings.rate_limit = 2;
  restart();
  EXPECT_EQ(call("GET", kHooks).header("x-ratelimit-remaining"), "1");
  EXPECT_EQ(call("GET", kHooks).header("x-ratelimit-remaining"), "0");
  const auto refused = call("GET", kHooks);
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.header("x-ratelimit-remaining"), "0");
  const auto reset = std::chrono::seconds(std::stoll(std::string(refused.header("x-ratelimit-reset"))));
  clock.advance(Timestamp(reset) - clock.now());
  EXPECT_EQ(call("GET", kHooks).status, 200);
}

TEST_F(GithubSimulator, SignsAndCountsDeliveries) {
  std::mutex mutex;
  std::vector<support::Request> arrived;
  support::HttpServer receiver([&](support::Request request, support::HttpServer::Answer answer) {
    const std::scoped_lock lock(mutex);
    arrived.push_back(std::move(request));
    answer({.status = 202});
  });
  ASSERT_EQ(call("POST", kHooks, hook(receiver.base_url() + "/a")).status, 201);
  ASSERT_EQ(call("POST", kHooks, hook(receiver.base_url() + "/b", {"*"})).status, 201);
  ASSERT_EQ(call("POST", kHooks, hook(receiver.base_url() + "/c", {"push"})).status, 201);
  const json order{{"owner", "octo"}, {"repo", "hello"}, {"event", "issues"}, {"payload", {{"action", "opened"}}}};
  const auto report = call("POST", "/_sim/deliver", order).json();
  ASSERT_EQ(report.at("deliveries").size(), 2);
  EXPECT_EQ(report.at("deliveries").at(0).at("status"), 202);
  EXPECT_EQ(github->hooks().at(0).last_code, 202);

  const std::scoped_lock lock(mutex);
  ASSERT_EQ(arrived.size(), 5);  // three pings, two deliveries
  EXPECT_EQ(arrived[0].header("x-github-event"), "ping");
  EXPECT_EQ(json::parse(arrived[0].body).at("hook_id"), github->hooks().at(0).id);
  const auto& last = arrived.back();
  EXPECT_EQ(last.header("x-hub-signature-256"), harness::github_signature("s", last.body));
  EXPECT_EQ(last.header("x-github-delivery"), report.at("delivery"));
  EXPECT_EQ(last.header("content-type"), "application/json");
  EXPECT_EQ(json::parse(last.body), json({{"action", "opened"}}));
}

// docs.github.com, "Validating webhook deliveries": the published vector.
TEST_F(GithubSimulator, SignsAsDocumented) {
  EXPECT_EQ(simulators::hmac_sha256_hex("It's a Secret to Everybody", "Hello, World!"),
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
}

TEST_F(GithubSimulator, ReportsReceiversThatDoNotAnswer) {
  ASSERT_EQ(call("POST", kHooks, hook()).status, 201);  // nobody listens there
  const json order{{"owner", "octo"}, {"repo", "hello"}, {"event", "issues"}, {"payload", json::object()}};
  const auto report = call("POST", "/_sim/deliver", order).json();
  EXPECT_EQ(report.at("deliveries").at(0).at("status"), 0);
  EXPECT_TRUE(report.at("deliveries").at(0).contains("error"));
  EXPECT_EQ(call("POST", "/_sim/deliver", {{"owner", "octo"}}).status, 400);
  const json nobody{{"owner", "octo"}, {"repo", "hello"}, {"event", "push"}, {"payload", json::object()}};
  EXPECT_EQ(call("POST", "/_sim/deliver", nobody).json().at("deliveries"), json::array());
}

TEST_F(GithubSimulator, HidesCredentials) {
  call("GET", kHooks);
  const auto requests = call("GET", "/_sim/requests").json();
  ASSERT_EQ(requests.size(), 1);
  EXPECT_EQ(requests[0].at("headers").at("authorization"), "[hidden]");
  EXPECT_EQ(requests[0].at("path"), kHooks);
}

}  // namespace
}  // namespace patchbay::plugins_test
