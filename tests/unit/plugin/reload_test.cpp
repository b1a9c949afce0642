#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "plugin/probe.hpp"
#include "plugin/registry.hpp"
#include "plugin/reloader.hpp"
#include "support/fake_http_client.hpp"

namespace patchbay::plugin {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::HasSubstr;

const fs::path kTestPlugins = fs::path(PATCHBAY_BUILD_DIRECTORY) / "test-plugins";

class BackgroundThread {
 public:
  BackgroundThread() : thread_([this] { loop.run(); }) {}
  ~BackgroundThread() {
    loop.stop();
    thread_.join();
  }
  Loop loop;

 private:
  std::thread thread_;
};

// A registry over a folder that holds build 1 as versioned.so, watched.
class Reload : public ::testing::TestWithParam<Mapping> {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("reload-test-" + std::to_string(::getpid()));
    fs::remove_all(root_);
    fs::create_directories(root_ / "plugins");
    fs::create_directories(root_ / "elsewhere");
    fs::copy_file(build("versioned_1"), file_);
    RegistrySettings settings;
    settings.folder = root_ / "plugins";
    settings.private_folder = root_ / "private";
    settings.drain_limit = drain_limit_;
    settings.mapping = GetParam();
    settings.prober = [this](const std::string& file) {
      ++probes_;
      return probe_in_child(std::string(PATCHBAY_BUILD_DIRECTORY) + "/tests/probe_child", file);
    };
    registry_.emplace(loop_, system_clock(), client_, std::move(settings));
    ASSERT_TRUE(registry_->load().has_value());
    reloader_.emplace(loop_, background_.loop, *registry_, 100ms);
    ASSERT_TRUE(reloader_->watch().has_value());
    ASSERT_EQ(which(), R"({"build":1})");
  }
  void TearDown() override {
    registry_->shut_down();
    fs::remove_all(root_);
  }

  static fs::path build(const std::string& name) { return kTestPlugins / name / (name + ".so"); }

  Provider& provider() { return *registry_->provider("versioned"); }
  PluginInfo info() const { return registry_->list().at(0); }
  bool wait_for(const std::function<bool()>& done, std::chrono::milliseconds limit = 10s) {
    return loop_.run_until(done, limit);
  }
  void turn(std::chrono::milliseconds time) {
    (void)loop_.run_until([] { return false; }, time);
  }

  std::string which() {
    std::string output;
    begin("which", [&](Outcome outcome) { output = outcome.error ? outcome.error->message : outcome.output; });
    return output;
  }
  Provider::TaskId begin(const std::string& name, Provider::Done done) {
    Call call;
    call.name = name;
    call.params = "{}";
    return provider().begin(std::move(call), std::move(done));
  }
  // As `cp` does it: the same file, written again.
  void rewrite(const std::string& name) { fs::copy_file(build(name), file_, fs::copy_options::overwrite_existing); }
  // As `mv`, `ln` and careful builds do it.
  void rename_over(const std::string& name) {
    fs::copy_file(build(name), root_ / "elsewhere" / "new.so", fs::copy_options::overwrite_existing);
    fs::rename(root_ / "elsewhere" / "new.so", file_);
  }
  bool serves(int build) { return which() == "{\"build\":" + std::to_string(build) + "}"; }

  fs::path root_;
  fs::path file_ = fs::temp_directory_path() / ("reload-test-" + std::to_string(::getpid())) / "plugins" / "versioned.so";
  std::chrono::milliseconds drain_limit_{30'000};
  Loop loop_;
  support::FakeHttpClient client_{loop_};
  std::atomic<int> probes_{0};
  std::optional<Registry> registry_;
  BackgroundThread background_;
  std::optional<Reloader> reloader_;
};

INSTANTIATE_TEST_SUITE_P(Mappings, Reload, ::testing::Values(Mapping::kept, Mapping::unloaded),
                         [](const auto& tested) { return tested.param == Mapping::kept ? "kept" : "unloaded"; });

TEST_P(Reload, ARebuildInPlace) {
  rewrite("versioned_2");
  EXPECT_TRUE(wait_for([&] { return serves(2); }));
  EXPECT_EQ(info().version, "2.0.0");
  EXPECT_EQ(info().failure, "");
}

TEST_P(Reload, AnAtomicRename) {
  rename_over("versioned_2");
  EXPECT_TRUE(wait_for([&] { return serves(2); }));
}

TEST_P(Reload, AHalfWrittenFileWaitsForItsOtherHalf) {
  std::ifstream in(build("versioned_2"), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  std::ofstream(file_, std::ios::binary) << bytes.substr(0, bytes.size() / 2);
  EXPECT_TRUE(wait_for([&] { return !info().failure.empty(); }));
  EXPECT_TRUE(serves(1));
  EXPECT_TRUE(info().loaded);
  std::ofstream(file_, std::ios::binary) << bytes;
  EXPECT_TRUE(wait_for([&] { return serves(2); }));
  EXPECT_EQ(info().failure, "");
}

TEST_P(Reload, ABrokenFileLeavesTheOldBuildAtWorkAndSaysWhy) {
  std::ofstream(file_) << "no plugin at all";
  EXPECT_TRUE(wait_for([&] { return info().failure == "not an ELF file"; })) << info().failure;
  EXPECT_TRUE(serves(1));
  EXPECT_EQ(info().version, "1.0.0");
}

TEST_P(Reload, ABuildWhoseCreateFailsIsRefused) {
  rename_over("versioned_fails");
  EXPECT_TRUE(wait_for([&] { return info().failure.find("PBAY_E_UNSUPPORTED") != std::string::npos; }));
  EXPECT_TRUE(serves(1));
}

TEST_P(Reload, ADeletedFileIsSaidToBeGoneAndMayComeBack) {
  fs::remove(file_);
  EXPECT_TRUE(wait_for([&] { return info().failure.find("gone") != std::string::npos; })) << info().failure;
  EXPECT_TRUE(serves(1));
  const int probes = probes_;
  rename_over("versioned_1");
  EXPECT_TRUE(wait_for([&] { return info().failure.empty(); }));
  EXPECT_EQ(probes_, probes) << "the same bytes are not loaded again";
  fs::remove(file_);
  rename_over("versioned_2");
  EXPECT_TRUE(wait_for([&] { return serves(2); }));
}

TEST_P(Reload, TenSavesInASecondAreOneReload) {
  const int probes = probes_;
  for (int i = 0; i < 10; ++i) {
    rewrite(i % 2 == 0 ? "versioned_1" : "versioned_2");
    turn(30ms);
  }
  EXPECT_TRUE(wait_for([&] { return serves(2); }));
  turn(300ms);
  EXPECT_EQ(probes_, probes + 1);
}

TEST_P(Reload, AFileThatIsDroppedIsLoaded) {
  const auto name = registry_->provider("sample");
  EXPECT_EQ(name, nullptr);
  fs::copy_file(build("good"), root_ / "plugins" / "good.so");
  EXPECT_TRUE(wait_for([&] { return registry_->provider("sample") != nullptr; }));
  EXPECT_TRUE(registry_->reaction("sample.act").has_value());
}

TEST_P(Reload, ARenamedFileKeepsItsProvider) {
  fs::rename(file_, root_ / "plugins" / "other.so");
  fs::copy_file(build("versioned_2"), root_ / "plugins" / "other.so", fs::copy_options::overwrite_existing);
  EXPECT_TRUE(wait_for([&] { return serves(2); }));
  EXPECT_EQ(registry_->info("versioned")->file, (root_ / "plugins" / "other.so").string());
}

TEST_P(Reload, WhatIsAskedForIsDoneThoughNothingChanged) {
  std::optional<Result<PluginInfo>> result;
  reloader_->reload("versioned", [&](Result<PluginInfo> info) { result = std::move(info); });
  ASSERT_TRUE(wait_for([&] { return result.has_value(); }));
  ASSERT_TRUE(result->has_value()) << result->error().message;
  EXPECT_EQ((*result)->version, "1.0.0");
  result.reset();
  reloader_->reload("nobody", [&](Result<PluginInfo> info) { result = std::move(info); });
  EXPECT_EQ(result->error().code, Errc::not_found);
}

TEST_P(Reload, ATaskUnderWayEndsOnTheBuildThatBeganIt) {
  std::optional<Outcome> ended;
  begin("waits", [&](Outcome outcome) { ended = std::move(outcome); });
  rename_over("versioned_2");
  ASSERT_TRUE(wait_for([&] { return serves(2); }));
  EXPECT_FALSE(ended.has_value());
  EXPECT_EQ(info().draining, 1U);
  EXPECT_EQ(info().tasks, 1U);
  ASSERT_TRUE(wait_for([&] { return ended.has_value(); }));
  EXPECT_EQ(ended->output, R"({"build":1})");
  EXPECT_TRUE(wait_for([&] { return info().draining == 0; }));
  EXPECT_EQ(info().tasks, 0U);
  EXPECT_EQ(info().mapped, GetParam() == Mapping::kept ? 2U : 1U);
}

TEST_P(Reload, ATaskOfAReplacedBuildCanBeCancelled) {
  std::optional<Outcome> ended;
  const auto task = begin("waits", [&](Outcome outcome) { ended = std::move(outcome); });
  rename_over("versioned_2");
  ASSERT_TRUE(wait_for([&] { return serves(2); }));
  provider().cancel(task);
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->error.value().code, Errc::cancelled);
}

class HurriedReload : public Reload {
 protected:
  HurriedReload() { drain_limit_ = 200ms; }
};
INSTANTIATE_TEST_SUITE_P(Mappings, HurriedReload, ::testing::Values(Mapping::kept, Mapping::unloaded),
                         [](const auto& tested) { return tested.param == Mapping::kept ? "kept" : "unloaded"; });

TEST_P(HurriedReload, ATaskThatDoesNotEndInTimeIsToBeRunAgain) {
  std::optional<Outcome> ended;
  begin("waits", [&](Outcome outcome) { ended = std::move(outcome); });
  rename_over("versioned_2");
  ASSERT_TRUE(wait_for([&] { return ended.has_value(); }));
  EXPECT_EQ(ended->error.value().code, Errc::unavailable);
  EXPECT_TRUE(may_pass(ended->error->code));
}

// Says no to every build that has no trigger.
class Picky : public ReloadListener {
 public:
  Result<> may_replace(const Manifest&, const Manifest& next) override {
    if (next.triggers.empty()) return fail(Errc::conflict, "it has no trigger 'hook'");
    return {};
  }
  void replaced(const std::string& provider) override { providers.push_back(provider); }
  std::vector<std::string> providers;
};

TEST_P(Reload, WhoNeedsTheOldBuildCanSayNo) {
  Picky picky;
  registry_->set_listener(&picky);
  rename_over("versioned_fewer");
  EXPECT_TRUE(wait_for([&] { return info().failure == "it has no trigger 'hook'"; }));
  EXPECT_TRUE(serves(1));
  EXPECT_TRUE(picky.providers.empty());
  rename_over("versioned_newer_state");
  EXPECT_TRUE(wait_for([&] { return serves(4); }));
  EXPECT_THAT(picky.providers, ::testing::ElementsAre("versioned"));
  registry_->set_listener(nullptr);
}

int open_descriptors() {
  return static_cast<int>(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}
int threads() {
  return static_cast<int>(std::distance(fs::directory_iterator("/proc/self/task"), fs::directory_iterator()));
}

// Of the plugin's builds; the tests before this one may have left theirs.
std::size_t mapped_segments() {
  std::ifstream maps("/proc/self/maps");
  const std::string text((std::istreambuf_iterator<char>(maps)), {});
  std::size_t count = 0;
  for (auto at = text.find("/private/versioned."); at != std::string::npos; at = text.find("/private/versioned.", at + 1)) {
    ++count;
  }
  return count;
}

TEST_P(Reload, AHundredReloadsLeaveNothingBehind) {
  const auto reload = [&](int count) {
    for (int i = 0; i < count; ++i) {
      rename_over(i % 2 == 0 ? "versioned_2" : "versioned_1");
      bool done = false;
      reloader_->reload("versioned", [&](const Result<PluginInfo>& info) { done = info.has_value(); });
      ASSERT_TRUE(wait_for([&] { return done; }));
    }
    turn(300ms);  // the folder's own notices
  };
  reload(10);
  const int descriptors = open_descriptors();
  const int tasks = threads();
  const auto segments = mapped_segments();
  reload(90);
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_EQ(threads(), tasks);
  EXPECT_EQ(info().draining, 0U);
  EXPECT_EQ(info().tasks, 0U);
  EXPECT_TRUE(fs::is_empty(root_ / "private"));
  if (GetParam() == Mapping::unloaded) {
    EXPECT_EQ(mapped_segments(), segments);
  } else {
    EXPECT_GE(mapped_segments(), segments + 90);
  }
}

TEST(FolderWatch, WantsAFolder) {
  Loop loop;
  const auto watch = FolderWatch::create(loop, "/nowhere/at/all", [](const std::string&) {});
  ASSERT_FALSE(watch.has_value());
  EXPECT_THAT(watch.error().message, HasSubstr("/nowhere/at/all cannot be watched: No such file"));
}

}  // namespace
}  // namespace patchbay::plugin
