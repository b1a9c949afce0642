#include "vault/keys/key_ring.hpp"

#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

namespace patchbay::vault {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

class KeyRingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("key-ring-test-" + std::to_string(::getpid()));
    fs::remove_all(root_);
    fs::create_directories(root_);
    file_ = {root_ / "key"};
    ASSERT_TRUE(KeyRing::create(file_));
    ring_ = KeyRing::open(file_).value();
  }
  void TearDown() override { fs::remove_all(root_); }

  [[nodiscard]] std::string text() const {
    std::ifstream in(file_.path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& text) const {
    std::ofstream(file_.path) << text;
    ASSERT_EQ(::chmod(file_.path.c_str(), 0600), 0);
  }

  fs::path root_;
  KeyFile file_;
  std::shared_ptr<KeyRing> ring_;
};

TEST_F(KeyRingTest, ANewKeySealsAndTheOldOneStaysReadable) {
  const auto first = ring_->active().value();
  const auto second = ring_->rotate().value();
  EXPECT_EQ(ring_->active()->id, second);
  EXPECT_EQ(ring_->find(first.id)->bytes.reveal(), first.bytes.reveal());
  EXPECT_EQ(ring_->find(first.id)->state, KeyState::readable);
  struct stat info {};
  ASSERT_EQ(::stat(file_.path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_FALSE(fs::exists(file_.path + ".part"));
}

TEST_F(KeyRingTest, ADroppedKeyLeavesItsNameOnly) {
  const auto first = ring_->active().value();
  EXPECT_EQ(ring_->drop(first.id).error().code, Errc::conflict) << "it seals";
  EXPECT_EQ(ring_->drop("k0").error().code, Errc::not_found);
  ASSERT_TRUE(ring_->rotate());
  ASSERT_TRUE(ring_->drop(first.id));
  EXPECT_THAT(ring_->find(first.id).error().message, HasSubstr("which was dropped"));
  EXPECT_THAT(text(), HasSubstr(first.id + " - dropped\n"));
  EXPECT_THAT(text(), Not(HasSubstr(to_hex(first.bytes.reveal()))));
  EXPECT_THAT(ring_->keys(), SizeIs(2));
}

TEST_F(KeyRingTest, ARunningHostFollows) {
  const auto running = KeyRing::open(file_).value();
  const auto before = running->active()->id;
  const auto second = ring_->rotate().value();
  EXPECT_EQ(running->active()->id, second) << "the file was changed";
  EXPECT_TRUE(running->find(before));
  ASSERT_TRUE(ring_->drop(before));
  EXPECT_FALSE(running->find(before));
}

TEST_F(KeyRingTest, AFileThatBecameWrongLeavesTheKeysAsTheyWere) {
  const auto key = ring_->active()->id;
  write("nonsense\n");
  EXPECT_EQ(ring_->active()->id, key);
  fs::remove(file_.path);
  EXPECT_EQ(ring_->active()->id, key);
  EXPECT_FALSE(ring_->rotate());
}

TEST_F(KeyRingTest, ThoseThatRotateAtOnceFollowEachOther) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this] {
      const auto ring = KeyRing::open(file_).value();
      for (int n = 0; n < 5; ++n) EXPECT_TRUE(ring->rotate());
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(ring_->keys(), SizeIs(41));
}

// systemd shows a credential under an access list, whose mask reads like rights of the group.
TEST_F(KeyRingTest, ACredentialIsReadAndNeverWritten) {
  ASSERT_EQ(::chmod(file_.path.c_str(), 0440), 0);
  EXPECT_THAT(KeyRing::open(file_).error().message, HasSubstr("chmod 600"));
  const auto given = KeyRing::open({file_.path, KeyFile::Access::given}).value();
  EXPECT_EQ(given->active()->id, ring_->active()->id);
  EXPECT_EQ(given->rotate().error().code, Errc::conflict);
  EXPECT_EQ(given->drop("k1").error().code, Errc::conflict);
}

}  // namespace
}  // namespace patchbay::vault
