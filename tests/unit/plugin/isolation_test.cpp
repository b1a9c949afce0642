// Plugins in processes of their own: what goes wrong there stays there.
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "plugin/registry.hpp"
#include "support/fake_http_client.hpp"

namespace patchbay::plugin {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::AnyOf;
using ::testing::HasSubstr;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
#if defined(__SANITIZE_THREAD__)
constexpr const char* kFork = "no sign of life";  // its fork() keeps the handler of SIGSYS waiting
#else
constexpr const char* kFork = "fork()";
#endif

std::size_t entries_of(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

class IsolationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("isolation-test-" + std::to_string(::getpid()));
    fs::create_directories(root_ / "plugins");
    fs::copy_file(fs::path(PATCHBAY_BUILD_DIRECTORY) / "test-plugins/breaker/breaker.so", root_ / "plugins/breaker.so");
    settings_.folder = root_ / "plugins";
    settings_.private_folder = root_ / "private";
    settings_.isolated = [](const std::string& id) { return id == "breaker"; };
    settings_.isolation.program = std::string(PATCHBAY_BUILD_DIRECTORY) + "/bin/patchbay-plugin-process";
    settings_.isolation.hang_limit = 600ms;
    settings_.isolation.start_limit = 20s;
    settings_.isolation.first_back_off = 1ms;
    settings_.isolation.quarantine_folder = root_ / "quarantine";
  }
  void TearDown() override {
    if (registry_) registry_->shut_down();
    registry_.reset();
    fs::remove_all(root_);
  }
  void load() {
    registry_.emplace(loop_, system_clock(), client_, settings_);
    ASSERT_TRUE(registry_->load());
    for (const auto& info : registry_->list()) ASSERT_TRUE(info.loaded) << info.failure;
  }
  Provider& breaker() { return *registry_->provider("breaker"); }
  std::optional<Outcome> run(const std::string& name, Call call = {}, std::chrono::milliseconds limit = 20s) {
    auto outcome = std::make_shared<std::optional<Outcome>>();
    call.verb = Verb::reaction;
    call.name = name;
    call.params = "{}";
    breaker().begin(std::move(call), [outcome](Outcome ended) { *outcome = std::move(ended); });
    loop_.run_until([&] { return outcome->has_value(); }, limit);
    return *outcome;
  }

  fs::path root_;
  Loop loop_;
  support::FakeHttpClient client_{loop_};
  RegistrySettings settings_;
  std::optional<Registry> registry_;
};

struct Fault {
  std::string name;
  std::vector<std::string> words;  // one of them stands in the error
};
class Faults : public IsolationTest, public ::testing::WithParamInterface<Fault> {};

TEST_P(Faults, IsStoppedSaidAndTheNextTaskIsDone) {
  if (kSanitized && GetParam().name == "allocates") GTEST_SKIP() << "a sanitized process has no memory limit";
  load();
  const auto outcome = run(GetParam().name);
  ASSERT_TRUE(outcome) << "it did not end";
  ASSERT_TRUE(outcome->error) << "it was allowed";
  EXPECT_EQ(outcome->error->code, Errc::unavailable) << "the engine tries it again";
  const auto& message = outcome->error->message;
  EXPECT_TRUE(std::any_of(GetParam().words.begin(), GetParam().words.end(), [&](const auto& word) { return message.find(word) != std::string::npos; })) << message;
  const auto next = run("any");
  ASSERT_TRUE(next);
  EXPECT_FALSE(next->error) << next->error->message;
}

// A sanitizer reports a crash itself and ends with 1 (or aborts).
INSTANTIATE_TEST_SUITE_P(Isolation, Faults,
                         ::testing::Values(Fault{"segfaults", {"Segmentation fault", "ended with", "open", "Aborted"}},
                                           Fault{"aborts", {"Aborted", "ended with", "open"}}, Fault{"spins", {"no sign of life"}},
                                           Fault{"allocates", {"Segmentation fault"}}, Fault{"forks", {kFork, "clone()", "clone3()"}},
                                           Fault{"opens", {"open()", "openat()"}}, Fault{"connects", {"socket()"}}),
                         [](const auto& info) { return info.param.name; });

TEST_F(IsolationTest, RequestsGoThroughTheHostWithItsAccountAndSecret) {
  load();
  Call call;
  call.connection = ConnectionId::make(system_clock().now());
  call.callback_secret = Secret("hush");
  client_.answer = [](const egress::HttpRequest&) { return egress::HttpReply{200, {}, R"({"id":7})"}; };
  const auto connection = call.connection;
  const auto outcome = run("waits", std::move(call));
  ASSERT_TRUE(outcome);
  ASSERT_FALSE(outcome->error) << outcome->error->message;
  EXPECT_EQ(outcome->output, R"({"id":7})");
  ASSERT_EQ(client_.requests.size(), 1U);
  const auto& request = client_.requests[0];
  EXPECT_EQ(request.connection, connection);
  EXPECT_EQ(request.provider, "breaker");
  ASSERT_EQ(request.expansions.size(), 1U);
  EXPECT_EQ(request.expansions[0].first, request.body) << "the plugin sent the reference";
  EXPECT_EQ(request.expansions[0].second.reveal(), "hush");
  EXPECT_EQ(*request.allowed_hosts, (std::vector<std::string>{"breaker.example", "breaker.example"}));
}

TEST_F(IsolationTest, WhatIsUnderWayElsewhereInTheProcessIsTriedAgain) {
  load();
  client_.silent = true;
  auto waiting = std::make_shared<std::optional<Outcome>>();
  Call call;
  call.verb = Verb::reaction;
  call.name = "waits";
  call.params = "{}";
  breaker().begin(std::move(call), [waiting](Outcome ended) { *waiting = std::move(ended); });
  run("aborts");
  ASSERT_TRUE(*waiting);
  EXPECT_EQ((*waiting)->error->code, Errc::unavailable);
}

TEST_F(IsolationTest, ACancelledTaskEndsAtOnce) {
  load();
  client_.silent = true;
  std::optional<Outcome> outcome;
  Call call;
  call.verb = Verb::reaction;
  call.name = "waits";
  call.params = "{}";
  const auto task = breaker().begin(std::move(call), [&](Outcome ended) { outcome = std::move(ended); });
  loop_.run_until([&] { return !client_.requests.empty(); }, 5s);
  breaker().cancel(task);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->error->code, Errc::cancelled);
  EXPECT_FALSE(run("any")->error);
}

TEST_F(IsolationTest, AfterCrashesInARowItIsInQuarantineWithItsInputUntilItIsLoadedAnew) {
  settings_.isolation.crashes_until_quarantine = 3;
  load();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(run("aborts")->error);
  const auto refused = run("any");
  ASSERT_TRUE(refused && refused->error);
  EXPECT_THAT(refused->error->message, HasSubstr("quarantine"));
  ASSERT_EQ(entries_of(root_ / "quarantine"), 1U);
  EXPECT_EQ(registry_->list().front().process, "quarantined");
  const auto file = fs::directory_iterator(root_ / "quarantine")->path();
  EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  std::ifstream in(file);
  EXPECT_EQ(nlohmann::json::parse(in).value("name", ""), "aborts");

  auto module = registry_->prepare(root_ / "plugins/breaker.so", true);
  ASSERT_TRUE(module && *module) << module.error().message;
  ASSERT_TRUE(registry_->install(std::move(**module)));
  EXPECT_FALSE(run("any")->error);
  EXPECT_EQ(registry_->list().front().process, "own");
}

TEST_F(IsolationTest, AFileThatDoesNotStartIsRefusedWithTheReason) {
  for (const auto* name : {"bad_create", "bad_abi", "crashes"}) {
    fs::copy_file(fs::path(PATCHBAY_BUILD_DIRECTORY) / "test-plugins" / name / (std::string(name) + ".so"), root_ / "plugins" / (std::string(name) + ".so"));
  }
  settings_.isolated = [](const std::string&) { return true; };
  registry_.emplace(loop_, system_clock(), client_, settings_);
  ASSERT_TRUE(registry_->load());
  for (const auto& info : registry_->list()) {
    const auto name = fs::path(info.file).stem();
    if (name == "bad_create") {
      EXPECT_THAT(info.failure, HasSubstr("PBAY_E_UNSUPPORTED"));
    } else if (name == "bad_abi") {
      EXPECT_THAT(info.failure, HasSubstr("ABI 2.0"));
    } else if (name == "crashes") {
      EXPECT_FALSE(info.failure.empty());
    }
    EXPECT_EQ(info.loaded, name == "breaker") << info.file;
  }
}

TEST_F(IsolationTest, TheProcessHasNoneOfTheHostsDescriptors) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);  // not to be closed by exec, as many a library makes them
  load();
  ASSERT_FALSE(run("any")->error);
  ::close(ends[1]);
  char byte = 0;
  pollfd waiting{ends[0], POLLIN, 0};
  EXPECT_EQ(::poll(&waiting, 1, 2'000), 1) << "somebody else holds the other end";
  EXPECT_EQ(::read(ends[0], &byte, 1), 0);
  ::close(ends[0]);
}

// PATCHBAY_TEST_RESTARTS: how many; 1,000 take a minute.
TEST_F(IsolationTest, RestartsLeaveNothingBehind) {
  const char* wanted = std::getenv("PATCHBAY_TEST_RESTARTS");
  const int restarts = wanted == nullptr ? 20 : std::atoi(wanted);
  load();
  run("any");
  run("aborts");
  run("any");
  const auto descriptors = entries_of("/proc/self/fd");
  const auto threads = entries_of("/proc/self/task");
  for (int i = 0; i < restarts; ++i) {
    ASSERT_TRUE(run("aborts")->error);
    ASSERT_FALSE(run("any")->error);
  }
  EXPECT_EQ(entries_of("/proc/self/fd"), descriptors);
  EXPECT_EQ(entries_of("/proc/self/task"), threads);
  registry_->shut_down();
  registry_.reset();
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a process was left";
}

}  // namespace
}  // namespace patchbay::plugin
