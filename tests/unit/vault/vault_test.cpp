#include "vault/vault.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

namespace patchbay::vault {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kPurpose = "credential/0190";

std::string line_of(const std::string& id, char digit) { return id + " " + std::string(64, digit) + "\n"; }

class VaultTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("vault-test-" + std::to_string(::getpid()));
    fs::remove_all(root_);
    fs::create_directories(root_);
    file_ = root_ / "key";
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const std::string& text, mode_t mode = 0600) {
    std::ofstream(file_) << text;
    ASSERT_EQ(::chmod(file_.c_str(), mode), 0);
  }
  std::unique_ptr<Vault> open(const std::string& text) {
    write(text);
    return Vault::open(file_).value();
  }
  Error refusal() {
    auto opened = Vault::open(file_);
    return opened ? Error{Errc::internal, "it was opened"} : opened.error();
  }

  fs::path root_;
  std::string file_;
};

TEST_F(VaultTest, OpensWhatItSealed) {
  const auto vault = open(line_of("k1", 'a'));
  for (const auto& text :
       {std::string(), std::string("ghp_secret"), std::string("a\0b", 3), std::string(100'000, 'x')}) {
    const auto envelope = vault->seal(Secret(text), kPurpose);
    EXPECT_EQ(vault->open_envelope(envelope, kPurpose).value().reveal(), text);
  }
  EXPECT_THAT(vault->seal(Secret("ghp_secret"), kPurpose), Not(HasSubstr("secret")));
}

TEST_F(VaultTest, UsesANewNonceEachTime) {
  const auto vault = open(line_of("k1", 'a'));
  EXPECT_NE(vault->seal(Secret("same"), kPurpose), vault->seal(Secret("same"), kPurpose));
}

// The form is kept in databases: version 1 | length of the key id | key id | nonce | ciphertext | tag.
TEST_F(VaultTest, KeepsItsForm) {
  const auto vault = open(line_of("k1", 'a'));
  const auto envelope = vault->seal(Secret("12345"), kPurpose);
  EXPECT_EQ(envelope.substr(0, 4), std::string("\x01\x02k1"));
  EXPECT_EQ(envelope.size(), 4U + 12U + 5U + 16U);
  // Made with another implementation (AESGCM of Python's cryptography): nonce of twelve 0x07, the additional data
  // "patchbay/1|A256GCM|k1|credential/0190".
  const auto known = from_hex("01026b310707070707070707070707073139258536a2cd2ff458ad96096f6055fdabc7c0e2540fa164f1");
  EXPECT_EQ(vault->open_envelope(*known, kPurpose).value().reveal(), "ghp_secret");
}

TEST_F(VaultTest, RefusesEveryChangedBit) {
  const auto vault = open(line_of("k1", 'a'));
  const auto envelope = vault->seal(Secret("secret"), kPurpose);
  for (std::size_t bit = 0; bit < envelope.size() * 8; ++bit) {
    auto changed = envelope;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    const auto opened = vault->open_envelope(changed, kPurpose);
    ASSERT_FALSE(opened) << "bit " << bit;
    EXPECT_EQ(opened.error().code, Errc::denied);
  }
}

TEST_F(VaultTest, RefusesWhatIsCutOrLengthened) {
  const auto vault = open(line_of("k1", 'a'));
  const auto envelope = vault->seal(Secret("secret"), kPurpose);
  for (std::size_t length = 0; length < envelope.size(); ++length) {
    ASSERT_FALSE(vault->open_envelope(envelope.substr(0, length), kPurpose)) << length;
  }
  EXPECT_FALSE(vault->open_envelope(envelope + '\0', kPurpose));
}

TEST_F(VaultTest, RefusesAnEnvelopeThatWasMoved) {
  const auto vault = open(line_of("k1", 'a'));
  const auto envelope = vault->seal(Secret("secret"), "credential/1");
  EXPECT_EQ(vault->open_envelope(envelope, "credential/2").error().code, Errc::denied);
  EXPECT_EQ(vault->open_envelope(envelope, "").error().code, Errc::denied);
}

TEST_F(VaultTest, SealsWithTheLastKeyAndOpensWithAll) {
  const auto old_envelope = open(line_of("k1", 'a'))->seal(Secret("old"), kPurpose);
  const auto both = open("# rotated\n\n" + line_of("k1", 'a') + line_of("k2", 'b'));
  EXPECT_EQ(both->open_envelope(old_envelope, kPurpose).value().reveal(), "old");
  const auto new_envelope = both->seal(Secret("new"), kPurpose);
  EXPECT_EQ(new_envelope.substr(2, 2), "k2");

  const auto refused = open(line_of("k2", 'b'))->open_envelope(old_envelope, kPurpose);
  EXPECT_EQ(refused.error().code, Errc::denied);
  EXPECT_THAT(refused.error().message, HasSubstr("'k1'")) << "who must be asked for which key";
  EXPECT_FALSE(open(line_of("k1", 'c'))->open_envelope(old_envelope, kPurpose)) << "another key of the same name";
}

TEST_F(VaultTest, MakesAKeyFileOnceAndForItsOwnerOnly) {
  ASSERT_TRUE(Vault::create_key_file(file_));
  struct stat info {};
  ASSERT_EQ(::stat(file_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  const auto vault = Vault::open(file_).value();
  const auto envelope = vault->seal(Secret("secret"), kPurpose);

  EXPECT_EQ(Vault::create_key_file(file_).error().code, Errc::conflict);
  EXPECT_TRUE(Vault::open(file_).value()->open_envelope(envelope, kPurpose)) << "the key is still the first one";
  EXPECT_EQ(Vault::create_key_file(root_ / "absent" / "key").error().code, Errc::unavailable);
}

TEST_F(VaultTest, RefusesAFileThatOthersCanRead) {
  for (const mode_t mode : {0640, 0604, 0660, 0666, 0610}) {
    write(line_of("k1", 'a'), mode);
    EXPECT_EQ(refusal().code, Errc::invalid) << mode;
    EXPECT_THAT(refusal().message, HasSubstr("chmod 600"));
  }
  write(line_of("k1", 'a'), 0400);
  EXPECT_TRUE(Vault::open(file_));
}

TEST_F(VaultTest, SaysWhatIsWrongWithAFile) {
  EXPECT_EQ(refusal().code, Errc::not_found);
  EXPECT_THAT(refusal().message, HasSubstr("patchbay keys init"));

  const std::string digits(64, 'a');
  for (const auto& [text, fault] : std::vector<std::pair<std::string, std::string>>{
           {"", "no key"},
           {"# nothing\n", "no key"},
           {"k1\n", ":1:"},
           {line_of("k1", 'a') + "k2 abcd\n", ":2:"},
           {"k1 " + digits + "aa\n", ":1:"},
           {"k1 " + std::string(64, 'g') + "\n", ":1:"},
           {" " + digits + "\n", ":1:"},
           {line_of("k1", 'a') + "\n" + line_of("k1", 'b'), ":3: key 'k1' stands twice"},
           {std::string(65'537, '#'), "no key file"}}) {
    write(text);
    EXPECT_EQ(refusal().code, Errc::invalid) << text;
    EXPECT_THAT(refusal().message, HasSubstr(fault));
    EXPECT_THAT(refusal().message, Not(HasSubstr("aaaa"))) << "a message never holds a key";
  }
  fs::remove(file_);
  fs::create_directory(file_);
  EXPECT_EQ(refusal().code, Errc::invalid);
}

}  // namespace
}  // namespace patchbay::vault
