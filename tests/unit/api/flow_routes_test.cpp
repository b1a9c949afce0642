#include "api_fixture.hpp"

namespace patchbay::api {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

class FlowRoutes : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    sign_up("ada@example.org");
  }
  std::string create(const std::string& name) {
    const auto made = call("POST", "/flows", json{{"name", name}, {"nodes", json::array()}}.dump());
    EXPECT_EQ(made.status, 201) << made.body;
    return json_of(made).at("id");
  }
};

TEST_F(FlowRoutes, AFlowIsSavedAndShown) {
  const std::string definition = R"({"name": "one", "nodes": [{"id": "a", "ui": {"x": 1.5}}]})";
  const auto made = call("POST", "/flows", definition);
  ASSERT_EQ(made.status, 201);
  EXPECT_EQ(header(made, "ETag"), "\"1\"");
  const auto flow = json_of(made);
  const std::string path = "/flows/" + flow.at("id").get<std::string>();
  EXPECT_EQ(header(made, "Location"), "/api/v1" + path);
  EXPECT_EQ(flow.at("state"), "draft");
  EXPECT_EQ(flow.at("version"), 1);
  EXPECT_EQ(flow.at("definition"), json::parse(definition));
  const auto shown = call("GET", path);
  EXPECT_EQ(json_of(shown), flow);
  EXPECT_EQ(header(shown, "ETag"), "\"1\"");
}

TEST_F(FlowRoutes, AllFaultsAreNamed) {
  for (const auto* target : {"/flows", "/flows/validate"}) {
    const auto response = call("POST", target, R"({"nodes": []})");
    EXPECT_EQ(response.status, 400);
    EXPECT_THAT(pointers(response), ElementsAre("/name", "/nodes/0/trigger"));
    EXPECT_EQ(json_of(response).at("errors")[1].at("code"), "unknown_trigger");
  }
  EXPECT_EQ(json_of(call("POST", "/flows/validate", R"({"name": "x"})")), json({{"valid", true}}));
  EXPECT_EQ(json_of(call("GET", "/flows")).at("data").size(), 0U);
}

TEST_F(FlowRoutes, PagesAreWholeAndNewestFirst) {
  std::vector<std::string> made;
  for (int i = 0; i < 5; ++i) made.push_back(create("flow " + std::to_string(i)));
  std::vector<std::string> seen;
  std::string target = "/flows?limit=2";
  int pages = 0;
  for (json next = ""; next.is_string(); ++pages) {
    const auto page = json_of(call("GET", target));
    for (const auto& flow : page.at("data")) seen.push_back(flow.at("id"));
    next = page.at("next");
    if (next.is_string()) target = "/flows?limit=2&cursor=" + next.get<std::string>();
  }
  EXPECT_EQ(pages, 3);
  std::ranges::reverse(made);
  EXPECT_EQ(seen, made);
}

TEST_F(FlowRoutes, APageThatIsJustFullIsTheLast) {
  create("one");
  create("two");
  const auto page = json_of(call("GET", "/flows?limit=2"));
  EXPECT_EQ(page.at("data").size(), 2U);
  EXPECT_TRUE(page.at("next").is_null());
}

TEST_F(FlowRoutes, IfMatchGuardsAgainstALostUpdate) {
  const std::string path = "/flows/" + create("one");
  if_match_ = "1";
  const auto saved = call("PUT", path, R"({"name": "two"})");
  ASSERT_EQ(saved.status, 200);
  EXPECT_EQ(header(saved, "ETag"), "\"2\"");
  EXPECT_EQ(call("PUT", path, R"({"name": "three"})").status, 412);
  if_match_ = "W/\"2\"";
  EXPECT_EQ(call("PUT", path, R"({"name": "three"})").status, 412);
  EXPECT_EQ(json_of(call("GET", path)).at("version"), 2);
  if_match_ = "*";
  EXPECT_EQ(call("PUT", path, R"({"name": "three"})").status, 200);
  if_match_.clear();
  EXPECT_EQ(call("PUT", path, R"({"name": "four"})").status, 200);
}

TEST_F(FlowRoutes, AConflictThatIsNoneOfVersionsIsNotThePrecondition) {
  const std::string path = "/flows/" + create("one");
  flows_.busy = true;
  if_match_ = "1";
  EXPECT_EQ(call("PUT", path, R"({"name": "two"})").status, 409);
}

TEST_F(FlowRoutes, ActivateAndDeactivateAnswerWithTheFlow) {
  const std::string path = "/flows/" + create("one");
  const auto active = call("POST", path + "/activate");
  EXPECT_EQ(active.status, 200);
  EXPECT_EQ(json_of(active).at("state"), "active");
  EXPECT_EQ(json_of(call("POST", path + "/deactivate")).at("state"), "inactive");
  flows_.busy = true;
  const auto refused = call("POST", path + "/activate");
  EXPECT_EQ(refused.status, 502);
  EXPECT_EQ(json_of(refused).at("code"), "unavailable");
}

TEST_F(FlowRoutes, ARemovedFlowIsGone) {
  const std::string path = "/flows/" + create("one");
  EXPECT_EQ(call("DELETE", path).status, 204);
  EXPECT_EQ(call("GET", path).status, 404);
  EXPECT_EQ(call("DELETE", path).status, 404);
}

TEST_F(FlowRoutes, AnothersFlowIsNotThere) {
  const std::string path = "/flows/" + create("one");
  sign_up("eve@example.org");
  EXPECT_EQ(call("GET", path).status, 404);
  EXPECT_EQ(call("PUT", path, R"({"name": "mine"})").status, 404);
  EXPECT_EQ(call("DELETE", path).status, 404);
  EXPECT_EQ(call("POST", path + "/activate").status, 404);
  EXPECT_EQ(call("POST", path + "/deactivate").status, 404);
  EXPECT_EQ(json_of(call("GET", "/flows")).at("data").size(), 0U);
}

}  // namespace
}  // namespace patchbay::api
