// What the program promises around the flows: the API's errors, plugins that are none, a clean stop.
#include <gmock/gmock.h>

#include <filesystem>

#include "e2e/spine.hpp"
#include "harness/clock.hpp"

namespace patchbay::e2e {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

void expect_problem(const harness::Reply& reply, long status) {
  EXPECT_EQ(reply.status, status) << reply.body;
  EXPECT_EQ(reply.header("content-type"), "application/problem+json");
  const auto problem = nlohmann::json::parse(reply.body, nullptr, false);
  ASSERT_TRUE(problem.is_object()) << reply.body;
  EXPECT_EQ(problem.value("status", 0), status);
  EXPECT_FALSE(problem.value("title", "").empty());
  EXPECT_FALSE(problem.value("code", "").empty());
  EXPECT_EQ(problem.value("request_id", ""), reply.header("x-request-id"));
  EXPECT_FALSE(reply.header("x-request-id").empty());
}

TEST_F(Spine, ErrorsOfTheApiAreProblems) {
  const std::string api = host_->url("/api/v1");
  expect_problem(http_.send("GET", api + "/flows"), 401);
  expect_problem(http_.send("GET", api + "/flows", {{"Authorization", "Bearer pbs_wrong"}}), 401);
  expect_problem(api_->call("GET", "/nowhere"), 404);
  expect_problem(api_->call("GET", "/runs/01900000-0000-7000-8000-000000000000"), 404);
  expect_problem(api_->call("DELETE", "/runs"), 405);
  expect_problem(api_->call("GET", "/runs?limit=1000000"), 400);
  expect_problem(http_.send("POST", api + "/auth/login", {{"Content-Type", "application/json"}}, R"({"email": "a", )"),
                 400);
  expect_problem(http_.send("GET", host_->url("/nowhere")), 404);
}

TEST_F(Spine, AllFaultsOfAFlowAreNamedAtOnce) {
  auto flow = demo_flow();
  flow["nodes"][0]["trigger"] = "github.isues";
  flow["nodes"][1]["if"] = "{{ opend.issue }}";
  flow["nodes"][2]["params"].erase("channel_id");
  const auto reply = api_->call("POST", "/flows/validate", flow);
  const auto answer = nlohmann::json::parse(reply.body, nullptr, false);
  ASSERT_TRUE(answer.is_object() && answer.contains("errors")) << reply.status << reply.body;
  const std::string errors = answer["errors"].dump();
  EXPECT_THAT(errors, HasSubstr("/nodes/0/trigger"));
  EXPECT_THAT(errors, HasSubstr("/nodes/1/if"));
  EXPECT_THAT(errors, HasSubstr("/nodes/2/params"));
  EXPECT_EQ(api_->call("POST", "/flows", flow).status / 100, 4);
}

TEST_F(Spine, AnotherUsersThingsAreNotFound) {
  harness::Api other(*host_);
  other.sign_up("other@example.org", "another long password");
  EXPECT_THAT(other.get("/flows").at("data"), IsEmpty());
  EXPECT_THAT(other.get("/connections").at("data"), IsEmpty());
  EXPECT_EQ(other.call("GET", "/flows/" + flow_).status, 404);
  EXPECT_EQ(other.call("POST", "/flows/" + flow_ + "/deactivate").status, 404);
  EXPECT_EQ(other.call("DELETE", "/flows/" + flow_).status, 404);
  EXPECT_EQ(simulators_.hooks().size(), 1U);
}

TEST_F(Spine, TheDoorAnswersWhoeverAsksForItsHealth) {
  for (const char* path : {"/livez", "/readyz", "/metrics", "/about.json"}) {
    EXPECT_EQ(http_.send("GET", host_->url(path)).status, 200) << path;
  }
  EXPECT_TRUE(http_.send("GET", host_->url("/about.json")).json().is_object());
}

TEST_F(Spine, AStopIsClean) {
  ASSERT_EQ(post_urgent_issue("d-1").status / 100, 2);
  EXPECT_EQ(host_->stop(), 0);
  host_->start();
  EXPECT_TRUE(wait_for_messages(1));
  EXPECT_EQ(host_->stop(), 0);
}

TEST(Plugins, FilesThatAreNoneDoNotStopTheHost) {
  const harness::ScratchFolder folder("plugins");
  const auto plugins = folder.path() / "plugins";
  std::filesystem::copy(harness::plugin_folder(), plugins);
  const std::string whole = harness::read_file(plugins / "github.so");
  ASSERT_FALSE(whole.empty());
  harness::write_file(plugins / "text.so", "not a plugin\n");
  harness::write_file(plugins / "empty.so", "");
  harness::write_file(plugins / "half.so", whole.substr(0, whole.size() / 2));
  harness::write_file(plugins / "twice.so", whole);  // a second file with the same id

  harness::Host host({.folder = folder.path(), .plugins = plugins});
  host.start();
  harness::Api api(host);
  api.sign_up();
  std::vector<std::string> providers;
  const auto answer = api.get("/providers");
  for (const auto& provider : answer.at("data")) providers.push_back(provider.at("id"));
  EXPECT_THAT(providers, Contains("github"));
  EXPECT_THAT(providers, Contains("discord"));
  for (const char* name : {"text.so", "empty.so", "half.so"}) EXPECT_THAT(host.log(), HasSubstr(name));
  EXPECT_EQ(host.stop(), 0);
}

TEST(Start, WithoutAKeyFileIsRefused) {
  const harness::ScratchFolder folder("nokey");
  harness::Host host({.folder = folder.path()});
  std::filesystem::remove(folder.path() / "patchbay.key");
  EXPECT_THROW(host.start(), std::runtime_error);
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "patchbay.key"));
}

TEST(Start, AnEmptyDatabaseIsMigrated) {
  const harness::ScratchFolder folder("empty");
  harness::Host host({.folder = folder.path()});
  ASSERT_EQ(host.command({"migrate", "--to", "0"}).exit_code, 0);
  EXPECT_NO_THROW(host.start());
  EXPECT_THAT(host.log(), HasSubstr("migrating the database from version 0"));
}

}  // namespace
}  // namespace patchbay::e2e
