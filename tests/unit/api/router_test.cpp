#include "api/router.hpp"

#include "api_fixture.hpp"

namespace patchbay::api {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(ApiTest, AnErrorIsAProblem) {
  const auto response = call("GET", "/flows");
  EXPECT_EQ(response.status, 401);
  EXPECT_EQ(response.content_type, "application/problem+json");
  EXPECT_EQ(header(response, "WWW-Authenticate"), "Bearer");
  const auto problem = json_of(response);
  EXPECT_EQ(problem.at("type"), "about:blank");
  EXPECT_EQ(problem.at("title"), "Unauthorized");
  EXPECT_EQ(problem.at("status"), 401);
  EXPECT_EQ(problem.at("code"), "unauthenticated");
  EXPECT_EQ(problem.at("request_id"), "r-1");
  EXPECT_FALSE(problem.at("detail").get<std::string>().empty());
}

TEST_F(ApiTest, WhatIsNotThereIsNotFound) {
  sign_up("ada@example.org");
  for (const auto* target :
       {"", "/", "/nowhere", "/flows/", "/flows/no-id", "/flows/a/b/c", "/runs/no-id", "/deliveries/no-id",
        "/connections/no-id", "/providers/none", "/runs/01900000-0000-7000-8000-000000000000",
        "/flows/01900000-0000-7000-8000-000000000000", "/connections/01900000-0000-7000-8000-000000000000",
        "/deliveries/01900000-0000-7000-8000-000000000000"}) {
    EXPECT_EQ(call("GET", target).status, 404) << target;
  }
}

TEST_F(ApiTest, AWrongMethodIsToldTheRightOnes) {
  const auto response = call("DELETE", "/runs");
  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(json_of(response).at("code"), "method_not_allowed");
  EXPECT_EQ(header(response, "Allow"), "GET, HEAD, OPTIONS");
}

TEST_F(ApiTest, OptionsAndHeadAreAnswered) {
  const auto options = call("OPTIONS", "/flows");
  EXPECT_EQ(options.status, 204);
  EXPECT_EQ(options.body, "");
  EXPECT_EQ(header(options, "Allow"), "POST, GET, HEAD, OPTIONS");
  EXPECT_EQ(call("OPTIONS", "/nowhere").status, 404);
  const auto head = call("HEAD", "/openapi.json");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.body, "");
}

TEST_F(ApiTest, UnknownAndSenselessParametersAreNamed) {
  sign_up("ada@example.org");
  for (const auto& [target, name] :
       std::vector<std::pair<std::string, std::string>>{{"/runs?colour=red", "colour"},
                                                        {"/auth/me?x=1", "x"},
                                                        {"/flows?limit=0", "limit"},
                                                        {"/flows?limit=201", "limit"},
                                                        {"/flows?limit=1x", "limit"},
                                                        {"/flows?limit=", "limit"},
                                                        {"/flows?limit=99999999999999999999", "limit"},
                                                        {"/flows?cursor=abc", "cursor"},
                                                        {"/runs?flow_id=abc", "flow_id"},
                                                        {"/runs?status=completed,finished", "status"},
                                                        {"/deliveries?status=processed,dead", "status"},
                                                        {"/deliveries?watch_id=1", "watch_id"}}) {
    const auto response = call("GET", target);
    EXPECT_EQ(response.status, 400) << target;
    EXPECT_THAT(pointers(response), ::testing::ElementsAre(name)) << target;
  }
  EXPECT_EQ(call("GET", "/why").status, 400);
}

TEST_F(ApiTest, AnExceptionTellsTheClientNothing) {
  sign_up("ada@example.org");
  flows_.broken = true;
  const auto response = call("GET", "/flows");
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(json_of(response).at("code"), "internal");
  EXPECT_EQ(json_of(response).at("request_id"), "r-1");
  EXPECT_THAT(response.body, Not(HasSubstr("secret detail")));
}

TEST_F(ApiTest, NothingStaysInACache) {
  EXPECT_EQ(header(call("GET", "/openapi.json"), "Cache-Control"), "no-store");
  EXPECT_EQ(header(call("GET", "/nowhere"), "Cache-Control"), "no-store");
}

TEST_F(ApiTest, PluginsAreForTheAdministrator) {
  sign_up("first@example.org");
  EXPECT_EQ(call("GET", "/plugins").status, 200);
  sign_up("second@example.org");
  EXPECT_EQ(call("GET", "/plugins").status, 403);
}

// Every route but the open ones asks who is there before it looks at anything else.
TEST_F(ApiTest, NoRouteForgetsToAsk) {
  std::size_t open = 0;
  for (const auto& route : router_->routes()) {
    if (!route.pattern.starts_with("/api/v1/")) continue;
    auto path = route.pattern.substr(std::string_view("/api/v1").size());
    if (const auto brace = path.find("{id}"); brace != std::string::npos) {
      path.replace(brace, 4, "01900000-0000-7000-8000-000000000000");
    }
    if (route.access == Access::open) {
      ++open;
      EXPECT_NE(call(route.method, path).status, 401) << route.pattern;
    } else {
      EXPECT_EQ(call(route.method, path, "{").status, 401) << route.method << route.pattern;
    }
  }
  EXPECT_EQ(open, 3U);
}

}  // namespace
}  // namespace patchbay::api
