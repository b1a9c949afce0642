#include "identity/identity.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "identity/email.hpp"
#include "identity/passwords.hpp"
#include "identity/token_cache.hpp"
#include "store/migrations.hpp"
#include "support/test_database.hpp"

namespace patchbay::identity {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

const Secret kPassword("correct horse");

// A database, a clock that stands still, and Argon2id at its cheapest.
class IdentityTest : public ::testing::Test {
 protected:
  IdentityTest() : database(store::open(place.url()).value()) {
    EXPECT_TRUE(store::migrate_to_latest(*database));
    settings.password_memory_kib = 8;
    settings.password_passes = 1;
    restart();
  }

  void restart() { identity.emplace(*database, clock, settings); }
  User register_user(std::string_view email) { return identity->register_user(email, kPassword).value(); }
  std::string login(std::string_view email) {
    return std::string(identity->login(email, kPassword).value().token.reveal());
  }
  Errc refusal(std::string_view bearer) {
    auto principal = identity->authenticate(bearer);
    return principal ? Errc::internal : principal.error().code;
  }
  // Everything that a table holds, as one text.
  std::string dump(std::string_view sql, int columns) {
    std::string all;
    EXPECT_TRUE(database->read([&](store::Transaction& transaction) -> Result<> {
      auto rows = transaction.execute(sql, {}, [&](const store::Row& row) {
        for (int i = 0; i < columns; ++i) all += std::string(row.text(i)) + " ";
      });
      if (!rows) return std::unexpected(rows.error());
      return {};
    }));
    return all;
  }

  ManualClock clock;
  support::TestDatabase place;
  std::unique_ptr<store::Database> database;
  IdentitySettings settings;
  std::optional<Identity> identity;
};

TEST_F(IdentityTest, MakesTheFirstUserAdminAndNoOther) {
  EXPECT_EQ(register_user("ada@example.org").role, Role::admin);
  EXPECT_EQ(register_user("bob@example.org").role, Role::user);
  EXPECT_EQ(identity->add_user("root@localhost", kPassword, Role::admin).value().role, Role::admin);
  EXPECT_EQ(identity->find_user("bob@example.org").value().role, Role::user);
}

TEST_F(IdentityTest, MakesOneAdminWhenTwoRegisterAtOnce) {
  std::array<Role, 4> roles{};
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < roles.size(); ++i) {
      threads.emplace_back([&, i] { roles[i] = register_user("user" + std::to_string(i) + "@example.org").role; });
    }
  }
  EXPECT_EQ(std::count(roles.begin(), roles.end(), Role::admin), 1);
}

TEST_F(IdentityTest, RefusesASecondUserWithTheSameAddress) {
  register_user("Ada@Example.ORG");
  EXPECT_EQ(identity->register_user(" Ada@example.org\n", kPassword).error().code, Errc::conflict);
  EXPECT_TRUE(identity->register_user("ada@example.org", kPassword)) << "the part before the @ keeps its case";
}

TEST_F(IdentityTest, RefusesUnusablePasswords) {
  const auto refused = [&](std::string password) {
    auto made = identity->register_user("ada@example.org", Secret(std::move(password)));
    return !made && made.error().code == Errc::invalid;
  };
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused("seven77"));
  EXPECT_TRUE(refused("äöüäöüä")) << "14 bytes, 7 characters";
  EXPECT_TRUE(refused(std::string(129, 'x')));
  EXPECT_TRUE(refused("12345678\xFF"));
  EXPECT_FALSE(refused(std::string(128, 'x')));
}

TEST_F(IdentityTest, KeepsTheDoorClosed) {
  settings.registration_open = false;
  restart();
  EXPECT_EQ(identity->register_user("ada@example.org", kPassword).error().code, Errc::denied);
  EXPECT_TRUE(identity->add_user("ada@example.org", kPassword, Role::user));
}

TEST_F(IdentityTest, LogsInAndKnowsTheToken) {
  const auto user = register_user("ada@example.org");
  const auto token = identity->login("ada@EXAMPLE.org", kPassword).value();
  EXPECT_EQ(token.expires_in, std::chrono::hours{24});
  EXPECT_THAT(std::string(token.token.reveal()), StartsWith("pbs_"));
  const auto principal = identity->authenticate(token.token.reveal()).value();
  EXPECT_EQ(principal.user, user.id);
  EXPECT_EQ(principal.email, "ada@example.org");
  EXPECT_EQ(principal.role, Role::admin);
}

TEST_F(IdentityTest, AnswersUnknownAddressesAndWrongPasswordsAlike) {
  register_user("ada@example.org");
  const auto wrong = identity->login("ada@example.org", Secret("wrong horse"));
  const auto unknown = identity->login("eve@example.org", kPassword);
  const auto nonsense = identity->login("no address", kPassword);
  const auto empty = identity->login("ada@example.org", Secret());
  for (const auto& answer : {&wrong, &unknown, &nonsense, &empty}) {
    ASSERT_FALSE(*answer);
    EXPECT_EQ(answer->error().code, Errc::unauthenticated);
    EXPECT_EQ(answer->error().message, wrong.error().message);
  }
}

TEST_F(IdentityTest, ForgetsASessionAtItsEnd) {
  register_user("ada@example.org");
  const auto token = login("ada@example.org");
  clock.advance(std::chrono::hours{24} - std::chrono::seconds{1});
  EXPECT_TRUE(identity->authenticate(token));
  clock.advance(std::chrono::seconds{1});
  EXPECT_EQ(refusal(token), Errc::unauthenticated) << "also when it is cached";
}

TEST_F(IdentityTest, ForgetsASessionAtLogout) {
  register_user("ada@example.org");
  const auto token = login("ada@example.org");
  const auto other = login("ada@example.org");
  ASSERT_TRUE(identity->authenticate(token));
  EXPECT_TRUE(identity->logout(Secret(token)));
  EXPECT_EQ(refusal(token), Errc::unauthenticated) << "the cache must not remember it";
  EXPECT_EQ(identity->logout(Secret(token)).error().code, Errc::unauthenticated);
  EXPECT_TRUE(identity->authenticate(other));
}

TEST_F(IdentityTest, EndsTheOldestOfTooManySessions) {
  register_user("ada@example.org");
  const auto oldest = login("ada@example.org");
  const auto second = login("ada@example.org");
  for (int i = 0; i < 99; ++i) login("ada@example.org");
  EXPECT_EQ(refusal(oldest), Errc::unauthenticated);
  EXPECT_TRUE(identity->authenticate(second));
}

TEST_F(IdentityTest, RefusesWhatIsNoToken) {
  for (const auto* text : {"", "pbs_", "pbk_", "Bearer", "pbs_0000000000000000000000000000000000000000000",
                           "pbx_0000000000000000000000000000000000000000000"}) {
    EXPECT_EQ(refusal(text), Errc::unauthenticated) << text;
  }
}

TEST_F(IdentityTest, StoresNeitherPasswordsNorTokens) {
  const auto user = register_user("ada@example.org");
  const auto token = login("ada@example.org");
  const auto key = identity->create_api_key(user.id, "laptop").value();
  const auto all = dump("SELECT email, password_hash FROM users", 2) + dump("SELECT id, token_hash FROM sessions", 2) +
                   dump("SELECT id, name, prefix, key_hash FROM api_keys", 4);
  EXPECT_THAT(all, HasSubstr("$argon2id$v=19$m=8,t=1,p=1$"));
  EXPECT_THAT(all, HasSubstr(key.prefix + " "));
  EXPECT_THAT(all, Not(HasSubstr(std::string(kPassword.reveal()))));
  EXPECT_THAT(all, Not(HasSubstr(token.substr(4))));
  EXPECT_THAT(all, Not(HasSubstr(std::string(key.key.reveal().substr(8)))));
}

TEST_F(IdentityTest, RenewsAHashOfOtherSettingsAtLogin) {
  register_user("ada@example.org");
  settings.password_passes = 2;
  restart();
  login("ada@example.org");
  EXPECT_THAT(dump("SELECT password_hash FROM users", 1), HasSubstr("t=2"));
  login("ada@example.org");
}

TEST_F(IdentityTest, TakesApiKeysUntilTheyAreDeleted) {
  const auto ada = register_user("ada@example.org");
  const auto bob = register_user("bob@example.org");
  const auto key = identity->create_api_key(ada.id, "laptop").value();
  EXPECT_THAT(std::string(key.key.reveal()), StartsWith(key.prefix));
  EXPECT_EQ(identity->authenticate(key.key.reveal()).value().user, ada.id);

  EXPECT_THAT(identity->list_api_keys(bob.id).value(), IsEmpty());
  EXPECT_EQ(identity->delete_api_key(bob.id, key.id).error().code, Errc::not_found) << "it is not his";
  EXPECT_TRUE(identity->authenticate(key.key.reveal()));

  EXPECT_TRUE(identity->delete_api_key(ada.id, key.id));
  EXPECT_EQ(refusal(key.key.reveal()), Errc::unauthenticated) << "the cache must not remember it";
  EXPECT_EQ(identity->delete_api_key(ada.id, key.id).error().code, Errc::not_found);
}

TEST_F(IdentityTest, NotesWhenAKeyWasUsed) {
  const auto ada = register_user("ada@example.org");
  const auto key = identity->create_api_key(ada.id, "laptop").value();
  EXPECT_FALSE(identity->list_api_keys(ada.id).value().at(0).last_used);
  ASSERT_TRUE(identity->authenticate(key.key.reveal()));
  const auto first = clock.now();
  EXPECT_EQ(identity->list_api_keys(ada.id).value().at(0).last_used, first);
  clock.advance(std::chrono::seconds{30});
  ASSERT_TRUE(identity->authenticate(key.key.reveal()));
  EXPECT_EQ(identity->list_api_keys(ada.id).value().at(0).last_used, first) << "once a minute is enough";
  clock.advance(std::chrono::seconds{30});
  ASSERT_TRUE(identity->authenticate(key.key.reveal()));
  EXPECT_EQ(identity->list_api_keys(ada.id).value().at(0).last_used, clock.now());
}

TEST_F(IdentityTest, LimitsKeysAndTheirNames) {
  const auto ada = register_user("ada@example.org");
  EXPECT_EQ(identity->create_api_key(ada.id, "").error().code, Errc::invalid);
  EXPECT_EQ(identity->create_api_key(ada.id, "a\nb").error().code, Errc::invalid);
  EXPECT_EQ(identity->create_api_key(ada.id, std::string(101, 'x')).error().code, Errc::invalid);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(identity->create_api_key(ada.id, "key"));
  EXPECT_EQ(identity->create_api_key(ada.id, "key").error().code, Errc::conflict);
  EXPECT_THAT(identity->list_api_keys(ada.id).value(), SizeIs(100));
}

TEST_F(IdentityTest, DoesNotLogAKeyOut) {
  const auto ada = register_user("ada@example.org");
  const auto key = identity->create_api_key(ada.id, "laptop").value();
  EXPECT_EQ(identity->logout(key.key).error().code, Errc::invalid);
  EXPECT_TRUE(identity->authenticate(key.key.reveal()));
}

TEST(TokenCache, DropsWhatWasReadBeforeALogout) {
  TokenCache cache(std::chrono::seconds{5}, 10);
  const auto now = ManualClock().now();
  const auto generation = cache.generation();  // a reader asks the database here ...
  cache.drop("hash");                          // ... a logout passes it ...
  cache.put("hash", {}, now, Timestamp::max(), generation);
  EXPECT_FALSE(cache.find("hash", now));
}

TEST(TokenCache, IsBoundedAndForgets) {
  TokenCache cache(std::chrono::seconds{5}, 2);
  auto now = ManualClock().now();
  cache.put("a", {}, now, Timestamp::max(), 0);
  cache.put("b", {}, now, now + std::chrono::seconds{1}, 0);
  EXPECT_TRUE(cache.find("a", now));
  now += std::chrono::seconds{2};
  EXPECT_FALSE(cache.find("b", now)) << "its session has ended";
  cache.put("c", {}, now, Timestamp::max(), 0);
  cache.put("d", {}, now, Timestamp::max(), 0);
  EXPECT_FALSE(cache.find("a", now)) << "full: it begins anew";
  EXPECT_TRUE(cache.find("d", now));
  EXPECT_FALSE(cache.find("d", now + std::chrono::seconds{5}));
}

TEST(Email, KeepsOneFormOfAnAddress) {
  EXPECT_EQ(normalise_email("  Ada.Lovelace+x@Mail.Example.ORG\t").value(), "Ada.Lovelace+x@mail.example.org");
  EXPECT_EQ(normalise_email("root@localhost").value(), "root@localhost");
  EXPECT_EQ(normalise_email("jürgen@xn--mller-kva.de").value(), "jürgen@xn--mller-kva.de");
  const std::string long_local(65, 'a');
  const std::string long_label(64, 'a');
  for (const std::string& text :
       {std::string(), std::string("ada"), std::string("@example.org"), std::string("ada@"),
        std::string("a b@example.org"), std::string("ada@exa mple.org"), std::string("ada@example..org"),
        std::string("ada@-example.org"), std::string(".ada@example.org"), std::string("a..a@example.org"),
        std::string("ada@[127.0.0.1]"), std::string("\"a\"@example.org"), std::string("a@b@example.org"),
        std::string("a\0b@example.org", 15), std::string("ada@example.org\r\nBcc: eve@example.org"),
        long_local + "@example.org", "a@" + long_label,
        "a@" + std::string(60, 'b') + "." + std::string(60, 'b') + "." + std::string(60, 'b') + "." +
            std::string(60, 'b') + "." + std::string(20, 'b'),
        std::string("\xFF@example.org")}) {
    EXPECT_FALSE(normalise_email(text)) << text;
  }
}

TEST(Passwords, SaltsEachHash) {
  const Passwords passwords(8, 1);
  const auto one = passwords.hash(kPassword).value();
  const auto two = passwords.hash(kPassword).value();
  EXPECT_NE(one, two);
  EXPECT_TRUE(passwords.verify(one, kPassword));
  EXPECT_FALSE(passwords.verify(one, Secret("correct horsf")));
  EXPECT_FALSE(passwords.verify("", kPassword));
  EXPECT_FALSE(passwords.is_outdated(one));
  EXPECT_TRUE(Passwords(16, 1).is_outdated(one));
  EXPECT_FALSE(Passwords(8, 1).is_outdated(passwords.dummy())) << "the same work as a real one";
}

}  // namespace
}  // namespace patchbay::identity
