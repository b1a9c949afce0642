#include "plugin/trust.hpp"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin/module.hpp"

namespace patchbay::plugin {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class TrustTest : public ::testing::Test {
 protected:
  TrustTest() {
    fs::create_directories(folder_);
    fs::copy_file(fs::path(PATCHBAY_BUILD_DIRECTORY) / "test-plugins/good/good.so", file_);
    fs::permissions(file_, fs::perms(0644));
  }
  ~TrustTest() override { fs::remove_all(root_); }

  Result<> try_it(const Trust& trust = {}) {
    const auto copy = PrivateCopy::make(file_, root_ / "private", trust);
    if (!copy) return std::unexpected(copy.error());
    return {};
  }
  std::string why_not(const Trust& trust = {}) {
    const auto tried = try_it(trust);
    return tried ? "" : tried.error().message;
  }
  std::string bytes() {
    std::ifstream in(file_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  fs::path root_ = fs::temp_directory_path() / ("trust-test-" + std::to_string(::getpid()));
  fs::path folder_ = root_ / "plugins";
  fs::path file_ = folder_ / "good.so";
};

TEST_F(TrustTest, ByDigest) {
  const auto sha256 = PrivateCopy::make(file_, root_ / "private", {})->sha256();
  EXPECT_TRUE(try_it({.level = TrustLevel::listed, .digests = {sha256}, .keys = {}}));
  EXPECT_EQ(why_not({.level = TrustLevel::listed, .digests = {std::string(64, '0')}, .keys = {}}),
            "its SHA-256 is not in plugins.digests: " + sha256);
}

TEST_F(TrustTest, BySignature) {
  const auto key = make_signing_key();
  const Trust trust{.level = TrustLevel::signed_files, .digests = {}, .keys = {make_signing_key().public_key, key.public_key}};
  EXPECT_THAT(why_not(trust), HasSubstr("it is not signed"));
  std::ofstream(file_.string() + ".sig") << sign(key, bytes());
  EXPECT_EQ(why_not(trust), "");

  std::ofstream(file_, std::ios::app) << "x";
  EXPECT_THAT(why_not(trust), HasSubstr("changed after it was signed"));
  std::ofstream(file_.string() + ".sig") << sign(make_signing_key(), bytes());
  EXPECT_THAT(why_not(trust), HasSubstr("of none of plugins.trusted_keys"));
  std::ofstream(file_.string() + ".sig") << "no signature";
  EXPECT_THAT(why_not(trust), HasSubstr("holds no Ed25519 signature"));
}

// RFC 8032, 7.1, TEST 3: anybody's Ed25519 makes and checks the same signatures.
TEST_F(TrustTest, TheSignatureIsThatOfTheRfc) {
  const auto seed = from_hex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7").value();
  const auto key = read_signing_key(to_base64(seed)).value();
  EXPECT_EQ(key.public_key, to_base64(*from_hex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")));
  EXPECT_EQ(sign(key, "\xaf\x82"),
            to_base64(*from_hex("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
                                "4a7c15e9716ed28dc027beceea1ec40a")) + "\n");
}

TEST_F(TrustTest, WhatEverybodyMayWriteIsRefused) {
  ::chmod(file_.c_str(), 0666);
  EXPECT_EQ(why_not(), "everybody may write it: take that away (chmod o-w)");
  ::chmod(file_.c_str(), 0644);
  ::chmod(folder_.c_str(), 0777);
  EXPECT_EQ(why_not(), "everybody may write its folder: take that away (chmod o-w)");
}

TEST_F(TrustTest, ALinkOutOfTheFolderIsNotFollowed) {
  fs::rename(file_, root_ / "elsewhere.so");
  fs::create_symlink(root_ / "elsewhere.so", file_);
  EXPECT_THAT(why_not(), HasSubstr("outside its folder"));
  fs::remove(file_);
  fs::rename(root_ / "elsewhere.so", folder_ / "real.so");
  fs::create_symlink("real.so", file_);
  EXPECT_EQ(why_not(), "");
}

TEST_F(TrustTest, APipeOrAFolderIsNoFile) {
  fs::remove(file_);
  ASSERT_EQ(::mkfifo(file_.c_str(), 0600), 0);
  EXPECT_EQ(why_not(), "not a file");
  fs::remove(file_);
  fs::create_directory(file_);
  EXPECT_EQ(why_not(), "not a file");
}

TEST(TrustSettings, AreChecked) {
  const auto why = [](const Trust& trust) { return check_settings(trust) ? "" : check_settings(trust).error().message; };
  EXPECT_EQ(why({}), "");
  EXPECT_THAT(why({.level = TrustLevel::listed, .digests = {}, .keys = {}}), HasSubstr("names no file"));
  EXPECT_THAT(why({.level = TrustLevel::signed_files, .digests = {}, .keys = {}}), HasSubstr("names no key"));
  EXPECT_THAT(why({.level = TrustLevel::any, .digests = {"abc"}, .keys = {}}), HasSubstr("'abc' is no SHA-256"));
  EXPECT_THAT(why({.level = TrustLevel::any, .digests = {}, .keys = {"abc"}}), HasSubstr("'abc' is no Ed25519 public key"));
}

}  // namespace
}  // namespace patchbay::plugin
