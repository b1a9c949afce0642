#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "http/simulator/sink_simulator.hpp"
#include "http/src/text.hpp"
#include "plugins/rig.hpp"

namespace patchbay::plugins_test {
namespace {

using nlohmann::json;
using plugin::Verb;

struct Http : testing::Test {
  simulators::SinkSimulator sink;
  Rig rig{{.plugin = "http", .allowed_hosts = {"127.0.0.1"}}};

  plugin::Outcome request(json params, const std::string& path = "/in") {
    params["url"] = sink.base_url() + path;
    return rig.run(rig.call(Verb::reaction, "request", params.dump()));
  }
};

TEST_F(Http, PostsJson) {
  const auto outcome = request({{"method", "POST"}, {"body", {{"text", "\"hi\" 🎛"}}}});
  ASSERT_FALSE(outcome.error) << outcome.error->message;
  const auto output = json::parse(outcome.output);
  EXPECT_EQ(output.at("status"), 200);
  EXPECT_EQ(output.at("headers").at("content-type"), "application/json; charset=utf-8");
  const auto seen = output.at("body");  // the sink says what it got
  EXPECT_EQ(seen.at("method"), "POST");
  EXPECT_EQ(seen.at("body"), json({{"text", "\"hi\" 🎛"}}));
  EXPECT_EQ(seen.at("content_type"), "application/json");
  EXPECT_EQ(seen.at("idempotency_key"), "0190aaaa-0000-7000-8000-000000000001:tell");
}

TEST_F(Http, SendsBodiesOfAllKinds) {
  struct Case {
    json body;
    std::string type;
    json arrives;
  };
  const Case cases[] = {
      {json::array({1, "a"}), "application/json", json::array({1, "a"})},
      {"plain text", "text/plain; charset=utf-8", "plain text"},
      {42, "application/json", 42},
      {false, "application/json", false},
  };
  for (const auto& [body, type, arrives] : cases) {
    const auto seen = json::parse(request({{"method", "PUT"}, {"body", body}}).output).at("body");
    EXPECT_EQ(seen.at("content_type"), type) << body;
    EXPECT_EQ(seen.at("body"), arrives) << body;
  }
  const auto none = json::parse(request({{"method", "POST"}, {"body", nullptr}}).output).at("body");
  EXPECT_EQ(none.at("body"), "");
}

TEST_F(Http, GetsByDefault) {
  const auto output = json::parse(request(json::object(), "/text").output);
  EXPECT_EQ(output.at("body"), "a line of text");
  EXPECT_EQ(sink.requests().at(0).at("method"), "GET");
}

TEST_F(Http, SendsHeaders) {
  const json headers{
      {"X-One", "1"}, {"X-Two~'", "a \"quoted\" \\ value"}, {"X-Number", 7}, {"content-type", "text/csv"}};
  ASSERT_FALSE(request({{"method", "POST"}, {"headers", headers}, {"body", "a,b"}}).error);
  const auto seen = sink.requests().at(0).at("headers");
  EXPECT_EQ(seen.at("x-one"), "1");
  EXPECT_EQ(seen.at("x-two~'"), "a \"quoted\" \\ value");
  EXPECT_EQ(seen.at("x-number"), "7");
  EXPECT_EQ(seen.at("content-type"), "text/csv");
}

TEST_F(Http, RefusesHeadersThatAreNotItsOwn) {
  for (const json& headers : {json{{"Host", "other"}}, json{{"content-LENGTH", "1"}}, json{{"a b", "1"}},
                              json{{"", "1"}}, json{{"X", "1\r\nY: 2"}}, json{{"a\"b", "1"}}}) {
    const auto outcome = request({{"headers", headers}});
    ASSERT_TRUE(outcome.error) << headers;
    EXPECT_EQ(outcome.error->code, Errc::invalid) << headers;
  }
  EXPECT_EQ(sink.request_count(), 0);
}

TEST_F(Http, FailsByStatus) {
  struct Case {
    int status;
    Errc code;
  };
  for (const auto& [status, code] :
       {Case{400, Errc::invalid}, Case{401, Errc::denied}, Case{404, Errc::not_found}, Case{429, Errc::exhausted},
        Case{500, Errc::unavailable}, Case{503, Errc::unavailable}}) {
    const auto outcome = request(json::object(), "/status/" + std::to_string(status));
    ASSERT_TRUE(outcome.error) << status;
    EXPECT_EQ(outcome.error->code, code) << status;
  }
}

TEST_F(Http, TakesAnyStatusWhenAsked) {
  const auto outcome = request({{"accept_any_status", true}}, "/status/404");
  ASSERT_FALSE(outcome.error);
  EXPECT_EQ(json::parse(outcome.output).at("status"), 404);
  const auto empty = request({{"accept_any_status", true}}, "/status/204");
  EXPECT_EQ(json::parse(empty.output).at("body"), nullptr);
}

TEST_F(Http, HeedsRetryAfter) {
  sink.fail_next({.status = 503, .retry_after_s = 7});
  const auto outcome = request(json::object());
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.next, std::chrono::seconds(7));
}

TEST_F(Http, ReachesAllowedHostsOnly) {
  const auto call = [&](const std::string& url) {
    return rig.run_unchecked(rig.call(Verb::reaction, "request", json{{"url", url}}.dump()));
  };
  for (const char* url :
       {"http://example.com/", "http://127.0.0.2/", "http://[::1]/", "file:///etc/passwd", "", "127.0.0.1"}) {
    const auto outcome = call(url);
    ASSERT_TRUE(outcome.error) << url;
    EXPECT_FALSE(may_pass(outcome.error->code)) << url << " " << outcome.error->message;
  }
}

TEST_F(Http, TellsWhenNobodyAnswers) {
  sink.fail_next({.status = support::kHangUp});
  const auto outcome = request({{"method", "POST"}, {"body", "x"}});
  ASSERT_TRUE(outcome.error);
  EXPECT_TRUE(may_pass(outcome.error->code));
}

TEST(HttpText, FindsTheNamesOfMembers) {
  using Names = std::vector<std::string_view>;
  EXPECT_EQ(http_request::member_names("{}"), Names{});
  EXPECT_EQ(http_request::member_names(R"({"a":"x","b":{"c":"d","e":[{"f":1}]},"g":[",\"h\":",{"i":2}],"j\"k":null})"),
            (Names{"a", "b", "g", "j\\\"k"}));
}

}  // namespace
}  // namespace patchbay::plugins_test
