// What the program promises around the flows: the API's errors, plugins that are none, a clean stop.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
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

// A host over a plugin folder of its own, with one user, who administers it.
class Reloading : public ::testing::Test {
 protected:
  Reloading() {
    std::filesystem::create_directories(plugins_);
    std::filesystem::copy_file(built("timer"), plugins_ / "timer.so");
    host_.emplace(harness::HostSettings{.folder = folder_.path(), .plugins = plugins_});
    host_->start();
    api_.emplace(*host_);
    api_->sign_up();
  }
  static std::filesystem::path built(const std::string& name) {
    return std::filesystem::path(harness::plugin_folder()) / (name + ".so");
  }
  nlohmann::json plugin(const std::string& file) {
    const auto answer = api_->get("/plugins");
    for (const auto& info : answer.at("data")) {
      if (info.value("file", "").ends_with("/" + file)) return info;
    }
    return nlohmann::json::object();
  }
  bool wait_until_failure_has(const std::string& text) {
    return harness::wait_until(
        [&] { return plugin("timer.so").value("failure", "").find(text) != std::string::npos; }, std::chrono::seconds(10));
  }

  harness::ScratchFolder folder_{"reloading"};
  std::filesystem::path plugins_ = folder_.path() / "plugins";
  std::optional<harness::Host> host_;
  std::optional<harness::Api> api_;
};

TEST_F(Reloading, AFileThatIsDroppedInBecomesAProvider) {
  EXPECT_EQ(api_->call("GET", "/providers/github").status, 404);
  std::filesystem::copy_file(built("github"), plugins_ / "github.so");
  EXPECT_TRUE(harness::wait_until([&] { return api_->call("GET", "/providers/github").status == 200; },
                                  std::chrono::seconds(10)));
}

TEST_F(Reloading, ABrokenBuildIsSaidToBeBrokenAndTheOldOneGoesOn) {
  harness::write_file(plugins_ / "timer.so", "broken");
  EXPECT_TRUE(wait_until_failure_has("not an ELF file"));
  EXPECT_EQ(plugin("timer.so").value("loaded", false), true);
  EXPECT_EQ(api_->call("GET", "/providers/timer").status, 200);
  const auto asked = api_->call("POST", "/plugins/timer/reload");
  expect_problem(asked, 409);
  EXPECT_THAT(asked.body, HasSubstr("not an ELF file"));

  std::filesystem::remove(plugins_ / "timer.so");
  EXPECT_TRUE(wait_until_failure_has("the file is gone"));
  std::filesystem::copy_file(built("timer"), plugins_ / "timer.so");
  EXPECT_TRUE(harness::wait_until([&] { return plugin("timer.so").value("failure", "?").empty(); },
                                  std::chrono::seconds(10)));
}

TEST_F(Reloading, AnAdministratorAsksForIt) {
  const auto asked = api_->call("POST", "/plugins/timer/reload");
  EXPECT_EQ(asked.status, 200) << asked.body;
  EXPECT_EQ(nlohmann::json::parse(asked.body).value("mapped", 0), 2);
  expect_problem(api_->call("POST", "/plugins/nobody/reload"), 404);
  harness::Api other(*host_);
  other.sign_up("other@example.org", "another long password");
  expect_problem(other.call("POST", "/plugins/timer/reload"), 403);

  const auto token = "PATCHBAY_API_KEY=" + api_->token();
  const auto listed = host_->command({"plugin", "list", "--url", host_->url()}, {token});
  EXPECT_EQ(listed.exit_code, 0);
  EXPECT_THAT(listed.output, HasSubstr("LAST FAILURE"));
  const auto reloaded = host_->command({"plugin", "reload", "timer", "--url", host_->url()}, {token});
  EXPECT_EQ(reloaded.exit_code, 0);
  EXPECT_THAT(reloaded.output, HasSubstr("timer 1.0.0 is at work, build "));
}

TEST(Commands, KeysInitMakesTheFolderOfTheKey) {
  const harness::ScratchFolder folder("keys");
  harness::Host host({.folder = folder.path()});
  const auto key = folder.path() / "not/there/yet/patchbay.key";
  const auto made = host.command({"keys", "init"}, {"PATCHBAY_KEY_FILE=" + key.string()});
  EXPECT_EQ(made.exit_code, 0) << made.output;
  EXPECT_TRUE(std::filesystem::exists(key));
}

// The protocol of sd_notify(3).
TEST(ServiceManager, HearsWhenTheHostIsReadyAliveAndStopping) {
  const harness::ScratchFolder folder("notify");
  const auto place = (folder.path() / "notify").string();
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(place.begin(), place.end(), address.sun_path);
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  std::string heard;
  const auto hears = [&](const std::string& what) {
    return harness::wait_until([&] {
      std::array<char, 512> buffer{};
      for (ssize_t size = 0; (size = ::recv(socket, buffer.data(), buffer.size(), 0)) > 0;) heard.append(buffer.data(), static_cast<std::size_t>(size)) += '\n';
      return heard.find(what) != std::string::npos;
    }, std::chrono::seconds(10));
  };
  harness::Host host({.folder = folder.path()});
  ::setenv("NOTIFY_SOCKET", place.c_str(), 1);
  ::setenv("WATCHDOG_USEC", "100000", 1);
  host.start();
  ::unsetenv("NOTIFY_SOCKET");
  ::unsetenv("WATCHDOG_USEC");
  EXPECT_TRUE(hears("READY=1"));
  heard.clear();
  EXPECT_TRUE(hears("WATCHDOG=1\nWATCHDOG=1"));
  EXPECT_EQ(host.stop(), 0);
  EXPECT_TRUE(hears("STOPPING=1"));
  ::close(socket);
}

TEST(SecondHost, IsRefusedOnTheSameDatabase) {
  const harness::ScratchFolder folder("second");
  harness::Host host({.folder = folder.path()});
  host.start();
  const auto second = host.command({"serve"}, {"PATCHBAY_SERVER_PORT=0"});
  EXPECT_NE(second.exit_code, 0);
  EXPECT_THAT(harness::read_file(folder.path() / "command.log"), HasSubstr("another host works on"));
  host.kill();
  host.start();
}

// What did not come with Patchbay runs in a process of its own. It crashes at every third webhook and every fourth
// reaction; whatever was answered 2xx is carried out.
TEST(Isolated, ACrashCostsARetryAndLosesNothing) {
  const harness::ScratchFolder folder("isolated");
  const auto plugins = folder.path() / "plugins";
  std::filesystem::create_directories(plugins);
  std::filesystem::copy_file(std::filesystem::path(PATCHBAY_BUILD_DIRECTORY) / "test-plugins/fragile/fragile.so", plugins / "fragile.so");
  harness::Host host({.folder = folder.path(), .plugins = plugins});
  host.start();
  harness::Api api(host);
  api.sign_up();
  const auto path = harness::activate_fragile(host, api);

  harness::Http http;
  std::size_t accepted = 0;
  for (int i = 0; i < 24; ++i) {
    const nlohmann::json body{{"key", "k" + std::to_string(i)}, {"webhook", i % 3 == 1 ? "crash" : "fine"}, {"reaction", i % 4 == 2 ? "crash" : "fine"}};
    const auto answer = http.send("POST", host.url(path), {{"Content-Type", "application/json"}}, body.dump());
    if (answer.status / 100 == 2) ++accepted;
  }
  EXPECT_GT(accepted, 16U);
  EXPECT_TRUE(harness::wait_until([&] { return api.count_runs("status=completed") >= accepted; }, std::chrono::seconds(60)))
      << api.count_runs("status=completed") << " of " << accepted << "\n" << host.log();
  EXPECT_EQ(api.count_runs("status=failed"), 0U);
  EXPECT_THAT(host.log(), HasSubstr("its process is gone"));
}

// In the host's process a plugin that does not come back takes the loop with it. The host starts anew, says where the
// plugin stood, and finishes what was accepted with the plugin in a process of its own.
TEST(Hung, APluginIsLeftBehindAndWhatWasAcceptedIsCarriedOut) {
  const harness::ScratchFolder folder("hung");
  const auto plugins = folder.path() / "plugins";
  std::filesystem::create_directories(plugins);
  std::filesystem::copy_file(std::filesystem::path(PATCHBAY_BUILD_DIRECTORY) / "test-plugins/fragile/fragile.so", plugins / "fragile.so");
  harness::Host host({.folder = folder.path(), .plugins = plugins, .more = "[providers.fragile]\nisolation = \"none\"\n"});
  ::setenv("PATCHBAY_PLUGINS_HANG", "1s", 1);
  host.start();
  ::unsetenv("PATCHBAY_PLUGINS_HANG");
  harness::Api api(host);
  api.sign_up();
  const auto path = harness::activate_fragile(host, api);
  const auto pid = host.process().pid();
  harness::Http http;
  // Its sender may get no answer: the plugin may be called before it goes out.
  (void)http.send("POST", host.url(path), {{"Content-Type", "application/json"}}, R"({"key": "k", "webhook": "fine", "reaction": "hang"})");
  EXPECT_TRUE(harness::wait_until(
      [&] { return api.call("GET", "/runs?status=completed").status == 200 && api.count_runs("status=completed") == 1; }, std::chrono::seconds(60)))
      << host.log();
  EXPECT_EQ(host.process().pid(), pid);
  EXPECT_TRUE(host.running());
  EXPECT_THAT(host.log(), HasSubstr("fragile does not come back from reaction"));
  EXPECT_THAT(host.log(), HasSubstr("  fragile."));
  EXPECT_EQ(host.stop(), 0);
}

}  // namespace
}  // namespace patchbay::e2e
