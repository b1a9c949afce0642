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
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const Purpose kPurpose{"credential/0190/ada", "credential/0190"};

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
  static std::string seal(const Vault& vault, const std::string& text, const Purpose& purpose = kPurpose) {
    return vault.seal(Secret(text), purpose).value();
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
  for (const auto& text : {std::string(), std::string("ghp_secret"), std::string("a\0b", 3), std::string(100'000, 'x')}) {
    EXPECT_EQ(vault->open_envelope(seal(*vault, text), kPurpose).value().reveal(), text);
  }
  EXPECT_THAT(seal(*vault, "ghp_secret"), Not(HasSubstr("secret")));
}

TEST_F(VaultTest, UsesANewDataKeyEachTime) {
  const auto vault = open(line_of("k1", 'a'));
  const auto one = seal(*vault, "same");
  const auto two = seal(*vault, "same");
  EXPECT_EQ(one.substr(0, 13), two.substr(0, 13)) << "the same head";
  EXPECT_NE(one.substr(13, 60), two.substr(13, 60)) << "another wrapped key";
  EXPECT_NE(one.substr(73), two.substr(73));
}

// The form is kept in databases (envelope.hpp).
TEST_F(VaultTest, KeepsItsForm) {
  const auto vault = open(line_of("k1", 'a'));
  const auto envelope = seal(*vault, "12345");
  EXPECT_EQ(envelope.substr(0, 13), std::string("\x02\x01\x05local\x02k1\x00\x3c", 13));
  EXPECT_EQ(envelope.size(), 13U + 60U + 12U + 5U + 16U);
  // Made with another implementation (AESGCM of Python's cryptography): data key of 32 0x11, its nonce twelve 0x09, bound to
  // "k1|patchbay/2|wrap|local|credential/0190/ada"; nonce twelve 0x07, bound to "patchbay/2|A256GCM|credential/0190/ada|"
  // and the head.
  const auto known = from_hex("0201056c6f63616c026b31003c0909090909090909090909097527961018091cd7262208491325aee61ae5047b7005091103b9aa3422c28deb12d9f28fab55214295173b8ff58dbdbe070707070707070707070707b7527ce780dc3453dfd54087ed38857f7de77dba3925e97a659d");
  EXPECT_EQ(vault->open_envelope(*known, kPurpose).value().reveal(), "ghp_secret");
}

// Made with another implementation: nonce of twelve 0x07, the additional data "patchbay/1|A256GCM|k1|credential/0190".
TEST_F(VaultTest, OpensFormat1WithItsOldPurpose) {
  const auto vault = open(line_of("k1", 'a'));
  auto known = *from_hex("01026b310707070707070707070707073139258536a2cd2ff458ad96096f6055fdabc7c0e2540fa164f1");
  EXPECT_EQ(vault->open_envelope(known, kPurpose).value().reveal(), "ghp_secret");
  EXPECT_EQ(vault->open_envelope(known, Purpose{"credential/0191/ada", "credential/0191"}).error().code, Errc::denied);
  EXPECT_FALSE(Vault::is_present(known, {{"local", "k1"}})) << "re-encrypt moves it";
  for (std::size_t bit = 0; bit < known.size() * 8; ++bit) {
    known[bit / 8] = static_cast<char>(known[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_FALSE(vault->open_envelope(known, kPurpose)) << "bit " << bit;
    known[bit / 8] = static_cast<char>(known[bit / 8] ^ (1 << (bit % 8)));
  }
}

TEST_F(VaultTest, RefusesEveryChangedBit) {
  const auto vault = open(line_of("k1", 'a') + line_of("k3", 'a'));  // the same key by another name, one bit away
  const auto envelope = seal(*vault, "secret");
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
  const auto envelope = seal(*vault, "secret");
  for (std::size_t length = 0; length < envelope.size(); ++length) {
    ASSERT_FALSE(vault->open_envelope(envelope.substr(0, length), kPurpose)) << length;
  }
  EXPECT_FALSE(vault->open_envelope(envelope + '\0', kPurpose));
}

TEST_F(VaultTest, RefusesAnEnvelopeThatWasMoved) {
  const auto vault = open(line_of("k1", 'a'));
  const auto now = system_clock().now();
  const auto record = ConnectionId::make(now);
  const auto owner = UserId::make(now);
  const auto envelope = seal(*vault, "secret", credential_purpose(record, owner));
  EXPECT_TRUE(vault->open_envelope(envelope, credential_purpose(record, owner)));
  EXPECT_EQ(vault->open_envelope(envelope, credential_purpose(record, UserId::make(now))).error().code, Errc::denied);
  EXPECT_EQ(vault->open_envelope(envelope, credential_purpose(ConnectionId::make(now), owner)).error().code, Errc::denied);
  EXPECT_EQ(vault->open_envelope(envelope, watch_purpose(WatchId(record.uuid()), owner)).error().code, Errc::denied);
  EXPECT_EQ(vault->open_envelope(envelope, Purpose{""}).error().code, Errc::denied);
}

// The wrapped key of one and the ciphertext of another.
TEST_F(VaultTest, RefusesAnEnvelopeOfTwo) {
  const auto vault = open(line_of("k1", 'a'));
  const auto one = seal(*vault, "secret");
  const auto two = seal(*vault, "secret");
  EXPECT_FALSE(vault->open_envelope(one.substr(0, 73) + two.substr(73), kPurpose));
}

TEST_F(VaultTest, SealsWithTheActiveKeyAndOpensWithAll) {
  const auto old_envelope = seal(*open(line_of("k1", 'a')), "old");
  const auto both = open("# rotated\n\n" + line_of("k1", 'a') + line_of("k2", 'b'));
  EXPECT_EQ(both->open_envelope(old_envelope, kPurpose).value().reveal(), "old");
  EXPECT_THAT(Vault::keys_of(seal(*both, "new")), ElementsAre(KeyName{"local", "k2"}));

  const auto refused = open(line_of("k2", 'b'))->open_envelope(old_envelope, kPurpose);
  EXPECT_EQ(refused.error().code, Errc::denied);
  EXPECT_THAT(refused.error().message, HasSubstr("'k1'")) << "who must be asked for which key";
  EXPECT_FALSE(open(line_of("k1", 'c'))->open_envelope(old_envelope, kPurpose)) << "another key of the same name";
  const auto dropped = open("k1 - dropped\n" + line_of("k2", 'b'))->open_envelope(old_envelope, kPurpose);
  EXPECT_EQ(dropped.error().code, Errc::denied);
  EXPECT_THAT(dropped.error().message, HasSubstr("'k1', which was dropped"));
}

// A provider that does not encrypt: the data key would stand in the database.
class NoKeys final : public KeyProvider {
 public:
  explicit NoKeys(bool in_base64) : in_base64_(in_base64) {}
  [[nodiscard]] std::string_view id() const override { return "none"; }
  [[nodiscard]] bool is_remote() const override { return false; }
  Result<WrappedKey> wrap(const Secret& data_key, std::string_view) override {
    return WrappedKey{"k1", "<" + (in_base64_ ? to_base64(data_key.reveal()) : std::string(data_key.reveal())) + ">"};
  }
  std::vector<Result<Secret>> unwrap(std::span<const UnwrapOrder> orders) override { return {orders.size(), Secret()}; }
  Result<std::vector<KeyInfo>> keys() override { return std::vector<KeyInfo>{}; }
  Result<std::string> rotate() override { return ""; }
  Result<> drop(std::string_view) override { return {}; }

 private:
  bool in_base64_;
};

TEST_F(VaultTest, RefusesADataKeyThatIsNotWrapped) {
  for (const bool in_base64 : {false, true}) {
    Vault::Parts parts;
    parts.providers.push_back(std::make_unique<NoKeys>(in_base64));
    const Vault vault(std::move(parts));
    EXPECT_EQ(vault.seal(Secret(std::string("secret")), kPurpose).error().code, Errc::internal);
  }
}

TEST_F(VaultTest, NamesWhatTheConfigurationDoesNot) {
  const auto envelope = seal(*open(line_of("k1", 'a')), "secret");
  Vault::Parts parts;
  parts.providers.push_back(std::make_unique<NoKeys>(false));
  const Vault vault(std::move(parts));
  EXPECT_THAT(vault.open_envelope(envelope, kPurpose).error().message, HasSubstr("'local', which vault.providers does not name"));

  VaultSettings settings;
  settings.key_file = file_;
  for (const auto& [providers, fault] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{}, "empty"}, {{"local", "local"}, "twice"}, {{"awskms"}, "there are local, transit and pkcs11"}, {{"transit"}, "https://"}, {{"pkcs11"}, "vault.pkcs11.module"}}) {
    settings.providers = providers;
    EXPECT_THAT(Vault::open(settings).error().message, HasSubstr(fault));
  }
}

TEST_F(VaultTest, TakesItsKeysFromASystemdCredential) {
  write(line_of("k1", 'a'), 0440);
  VaultSettings settings;
  settings.credential = "key";
  ::unsetenv("CREDENTIALS_DIRECTORY");
  EXPECT_THAT(Vault::open(settings).error().message, HasSubstr("LoadCredential=key:"));
  ::setenv("CREDENTIALS_DIRECTORY", root_.c_str(), 1);
  const auto vault = Vault::open(settings).value();
  EXPECT_TRUE(vault->open_envelope(seal(*vault, "secret"), kPurpose));
  EXPECT_EQ(vault->providers().front()->rotate().error().code, Errc::conflict);
  settings.credential = "../key";
  EXPECT_EQ(Vault::open(settings).error().code, Errc::invalid);
  ::unsetenv("CREDENTIALS_DIRECTORY");
}

TEST_F(VaultTest, MakesAKeyFileOnceAndForItsOwnerOnly) {
  ASSERT_TRUE(Vault::create_key_file(file_));
  struct stat info {};
  ASSERT_EQ(::stat(file_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  const auto vault = Vault::open(file_).value();
  const auto envelope = seal(*vault, "secret");

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
           {line_of("k1", 'a') + "k2 " + digits + " sealing\n", ":2:"},
           {"k1 - dropped\n", "no key that seals"},
           {"k1 " + digits + " readable\n", "no key that seals"},
           {"k1 " + digits + " active\nk2 " + digits + " active\n", "more than one active"},
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
