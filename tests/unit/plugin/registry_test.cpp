#include "plugin/registry.hpp"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plugin/probe.hpp"
#include "support/fake_http_client.hpp"

namespace patchbay::plugin {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path kTestPlugins = fs::path(PATCHBAY_BUILD_DIRECTORY) / "test-plugins";

class RegistryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("registry-test-" + std::to_string(::getpid()));
    fs::create_directories(root_ / "plugins");
  }
  void TearDown() override {
    if (registry_) registry_->shut_down();
    fs::remove_all(root_);
  }
  void drop(const std::string& name, const std::string& as = "") {
    fs::copy_file(kTestPlugins / name / (name + ".so"), root_ / "plugins" / ((as.empty() ? name : as) + ".so"));
  }
  void write(const std::string& file, std::string_view bytes) { std::ofstream(root_ / "plugins" / file) << bytes; }
  void load(Prober prober = {}) {
    RegistrySettings settings;
    settings.folder = root_ / "plugins";
    settings.private_folder = root_ / "private";
    settings.prober = std::move(prober);
    // The same tests with the plugins in processes of their own.
    if (const char* mode = std::getenv("PATCHBAY_TEST_ISOLATION"); mode != nullptr && std::string_view(mode) == "process") {
      settings.isolated = [](const std::string&) { return true; };
      settings.isolation.program = std::string(PATCHBAY_BUILD_DIRECTORY) + "/bin/patchbay-plugin-process";
    }
    registry_.emplace(loop_, clock_, client_, std::move(settings));
    ASSERT_TRUE(registry_->load().has_value());
  }
  Outcome run(Verb verb, const std::string& name, Call call = {}) {
    std::optional<Outcome> outcome;
    call.verb = verb;
    call.name = name;
    if (call.params.empty()) call.params = "{}";
    registry_->provider("breaker")->begin(std::move(call), [&](Outcome ended) { outcome = std::move(ended); });
    EXPECT_TRUE(loop_.run_until([&] { return outcome.has_value(); }, std::chrono::seconds{5}));
    return std::move(outcome).value_or(Outcome{});
  }

  fs::path root_;
  Loop loop_;
  ManualClock clock_;
  support::FakeHttpClient client_{loop_};
  std::optional<Registry> registry_;
};

struct Refused {
  std::string name;
  std::string message;
};
class RefusedPlugin : public RegistryTest, public ::testing::WithParamInterface<Refused> {};

TEST_P(RefusedPlugin, SaysWhyOnOneLineAndTheOthersAreLoaded) {
  drop(GetParam().name, "a_" + GetParam().name);
  drop("good");
  load();
  const auto list = registry_->list();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_FALSE(list[0].loaded);
  EXPECT_THAT(list[0].failure, HasSubstr(GetParam().message));
  EXPECT_EQ(list[0].failure.find('\n'), std::string::npos);
  EXPECT_TRUE(list[1].loaded) << list[1].failure;
  EXPECT_NE(registry_->provider("sample"), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Table, RefusedPlugin,
                         ::testing::Values(Refused{"bad_abi", "built for ABI 2.0, this host has 1.0"},
                                           Refused{"bad_needs", "needs ABI 1.7, this host has 1.0"},
                                           Refused{"bad_flags", "flags"}, Refused{"bad_size", "64 bytes"},
                                           Refused{"bad_create", "PBAY_E_UNSUPPORTED"}, Refused{"bad_manifest", "/id"},
                                           Refused{"bad_json", "not JSON"}, Refused{"bad_function", "reaction"},
                                           Refused{"bad_null", "returned nothing"},
                                           Refused{"bad_undefined", "nobody_defines_this"},
                                           Refused{"bad_entry", "does not export pbay_plugin_v1"}),
                         [](const auto& info) { return info.param.name; });

TEST_F(RegistryTest, WhatIsNoPluginIsRefused) {
  write("a_text.so", "hello");
  write("b_empty.so", "");
  write("notes.txt", "not looked at");
  load();
  const auto list = registry_->list();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].failure, "not an ELF file");
  EXPECT_FALSE(list[1].loaded);
}

TEST_F(RegistryTest, ANewerPluginThatNeedsNoMoreIsLoaded) {
  drop("newer");
  load();
  EXPECT_TRUE(registry_->list()[0].loaded) << registry_->list()[0].failure;
}

TEST_F(RegistryTest, APluginThatWasBuiltWithTheHeaderOfTheFirstVersionWorks) {
  drop("abi_1_0");
  load();
  ASSERT_TRUE(registry_->list()[0].loaded) << registry_->list()[0].failure;
  std::optional<Outcome> outcome;
  Call call;
  call.verb = Verb::reaction;
  call.name = "echo";
  call.params = R"({"say":"hello"})";
  registry_->provider("first")->begin(std::move(call), [&](Outcome ended) { outcome = std::move(ended); });
  ASSERT_TRUE(loop_.run_until([&] { return outcome.has_value(); }, std::chrono::seconds{5}));
  ASSERT_FALSE(outcome->error.has_value()) << outcome->error->message;
  EXPECT_EQ(outcome->output, R"({"answer":200})");
  ASSERT_EQ(client_.requests.size(), 1U);
  EXPECT_EQ(client_.requests[0].url, "https://first.example/say");
  EXPECT_EQ(client_.requests[0].body, R"("hello")");
}

TEST_F(RegistryTest, TheSecondOfOneIdIsRefused) {
  drop("good", "a");
  drop("good", "b");
  load();
  EXPECT_TRUE(registry_->list()[0].loaded);
  EXPECT_THAT(registry_->list()[1].failure, HasSubstr("already loaded"));
}

TEST_F(RegistryTest, ThePluginFolderMustBeThere) {
  RegistrySettings settings;
  settings.folder = root_ / "none";
  registry_.emplace(loop_, clock_, client_, std::move(settings));
  EXPECT_EQ(registry_->load().error().code, Errc::not_found);
}

TEST_F(RegistryTest, TheProbeDiesInsteadOfTheHost) {
  const std::string program = std::string(PATCHBAY_BUILD_DIRECTORY) + "/tests/probe_child";
  const auto probe = [&](const std::string& name) {
    return probe_in_child(program, (kTestPlugins / name / (name + ".so")).string(), std::chrono::milliseconds{1'500});
  };
  EXPECT_TRUE(probe("good").has_value());
  EXPECT_THAT(probe("crashes").error().message, HasSubstr("Aborted"));
  EXPECT_THAT(probe("hangs").error().message, HasSubstr("did not end"));
  EXPECT_THAT(probe("closes").error().message, HasSubstr("did not end"));
  EXPECT_THAT(probe("bad_create").error().message, HasSubstr("PBAY_E_UNSUPPORTED"));

  // The beginning of a file, as a build that is still writing leaves it: the loader is killed by SIGBUS or says so.
  std::ifstream in(kTestPlugins / "good" / "good.so", std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  write("half.so", bytes.substr(0, 1500));
  EXPECT_FALSE(probe_in_child(program, (root_ / "plugins" / "half.so").string()).has_value());
}

TEST_F(RegistryTest, TheCatalogueNamesWhatFlowsMayUse) {
  drop("breaker");
  load();
  EXPECT_THAT(registry_->trigger_names(), ::testing::ElementsAre("breaker.hook", "breaker.poll"));
  EXPECT_TRUE(registry_->reaction("breaker.any").has_value());
  EXPECT_FALSE(registry_->reaction("breaker.none").has_value());
  EXPECT_FALSE(registry_->trigger("none.hook").has_value());
  EXPECT_TRUE(registry_->needs_connection("breaker"));
}

class Rules : public RegistryTest {
 protected:
  void SetUp() override {
    RegistryTest::SetUp();
    drop("breaker");
    load();
  }
};

TEST_F(Rules, ATaskEndsOnce) { EXPECT_EQ(run(Verb::reaction, "ends_twice").output, R"({"n":1})"); }
TEST_F(Rules, OnlyItsOwnTaskCanBeEnded) { EXPECT_FALSE(run(Verb::reaction, "ends_another").error.has_value()); }
TEST_F(Rules, ATaskThatNeitherEndsNorWaitsIsEnded) {
  EXPECT_EQ(run(Verb::reaction, "never_ends").error.value().code, Errc::internal);
}
TEST_F(Rules, AnOutputIsAJsonObject) { EXPECT_EQ(run(Verb::reaction, "no_json").error.value().code, Errc::invalid); }
TEST_F(Rules, ATextWithoutAPointerIsNotRead) { EXPECT_EQ(run(Verb::reaction, "null_text").error.value().code, Errc::invalid); }
TEST_F(Rules, AReactionEmitsNothing) { EXPECT_TRUE(run(Verb::reaction, "emits").events.empty()); }
TEST_F(Rules, AnUnknownStatusIsABug) {
  EXPECT_EQ(run(Verb::reaction, "unknown_status").error.value().code, Errc::internal);
}

TEST_F(Rules, BadEventsAreLeftOutAndGoodOnesKept) {
  Call call;
  call.watch = WatchId::make(clock_.now());
  const auto outcome = run(Verb::poll, "poll", std::move(call));
  ASSERT_EQ(outcome.events.size(), 1U);
  EXPECT_EQ(outcome.events[0].key, "b");
}

TEST_F(Rules, ABodyIsAnEventOnlyWhenItIsAJsonObject) {
  for (const auto* body : {"{\"a\":1}", "[1]", "no json"}) {
    Call call;
    call.watch = WatchId::make(clock_.now());
    call.request = std::make_shared<WebhookRequest>(WebhookRequest{"POST", "", {}, body});
    if (auto parsed = JsonDocument::parse(body)) call.body = *parsed;
    const auto outcome = run(Verb::webhook, "hook", std::move(call));
    EXPECT_EQ(outcome.events.size(), body[0] == '{' ? 1U : 0U) << body;
    EXPECT_EQ(outcome.error.has_value(), body[0] != '{') << body;
  }
}

TEST_F(Rules, RequestsCarryWhatTheManifestSays) {
  Call call;
  call.watch = WatchId::make(clock_.now());
  call.connection = ConnectionId::make(clock_.now());
  call.callback_secret = Secret("hush");
  const auto connection = call.connection;
  run(Verb::watch, "hook", std::move(call));
  ASSERT_EQ(client_.requests.size(), 1U);
  const auto& request = client_.requests[0];
  EXPECT_EQ(request.provider, "breaker");
  EXPECT_EQ(request.connection, connection);
  EXPECT_THAT(*request.allowed_hosts, ::testing::Contains("breaker.example"));
  EXPECT_THAT(request.headers, ::testing::Contains(::testing::Pair("Accept", "application/json")));
  ASSERT_EQ(request.expansions.size(), 1U);
  EXPECT_EQ(request.body, request.expansions[0].first) << "the plugin sees a reference only";
  EXPECT_EQ(request.expansions[0].second.reveal(), "hush");
}

TEST_F(Rules, WhatTheClientSaysBecomesTheOutcome) {
  client_.answer = [](const auto&) { return fail(Errc::timeout, "no answer in time"); };
  const auto failed = run(Verb::reaction, "waits").error.value();
  EXPECT_EQ(failed.code, Errc::unavailable);
  EXPECT_EQ(failed.message, "no answer in time");
  client_.answer = [](const auto&) { return egress::HttpReply{200, {}, R"({"id":1})"}; };
  EXPECT_EQ(run(Verb::reaction, "waits").output, R"({"id":1})");
}

TEST_F(Rules, GoneIsSaid) {
  const auto outcome = run(Verb::stop, "hook");
  EXPECT_TRUE(outcome.gone);
  EXPECT_EQ(outcome.error.value().code, Errc::not_found);
}

TEST_F(Rules, ADeadlineEndsATask) {
  client_.silent = true;
  Call call;
  call.deadline = clock_.now() + std::chrono::milliseconds{20};
  EXPECT_EQ(run(Verb::reaction, "waits", std::move(call)).error.value().code, Errc::timeout);
}

TEST_F(Rules, ACancelledTaskEndsAndSoDoesOneAtShutDown) {
  client_.silent = true;
  auto* provider = registry_->provider("breaker");
  for (const auto* name : {"waits", "sleeps"}) {
    std::optional<Outcome> outcome;
    Call call;
    call.name = name;
    call.params = "{}";
    const auto task = provider->begin(std::move(call), [&](Outcome ended) { outcome = std::move(ended); });
    EXPECT_FALSE(outcome.has_value());
    provider->cancel(task);
    ASSERT_TRUE(outcome.has_value());
    EXPECT_EQ(outcome->error.value().code, Errc::cancelled);
  }
  std::optional<Outcome> outcome;
  Call call;
  call.name = "waits";
  call.params = "{}";
  provider->begin(std::move(call), [&](Outcome ended) { outcome = std::move(ended); });
  registry_->shut_down();
  EXPECT_EQ(outcome.value().error.value().code, Errc::cancelled);
  loop_.run_ready();
}

TEST_F(Rules, AnEndedTaskStillGetsItsAnswers) {
  EXPECT_FALSE(run(Verb::reaction, "ends_and_waits").error.has_value());
  loop_.run_ready();  // the answer arrives; the plugin finishes a task that is gone, which is refused
}

}  // namespace
}  // namespace patchbay::plugin
