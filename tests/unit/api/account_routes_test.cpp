#include "api_fixture.hpp"

namespace patchbay::api {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

TEST_F(ApiTest, RegisterLogInLogOut) {
  const std::string account = R"({"email": "ada@example.org", "password": "correct horse"})";
  const auto registered = call("POST", "/auth/register", account);
  ASSERT_EQ(registered.status, 201);
  EXPECT_EQ(header(registered, "Location"), "/api/v1/auth/me");
  EXPECT_EQ(json_of(registered).at("role"), "admin");
  EXPECT_THAT(registered.body, Not(HasSubstr("correct horse")));
  EXPECT_EQ(call("POST", "/auth/register", account).status, 409);

  const auto login = json_of(call("POST", "/auth/login", account));
  EXPECT_EQ(login.at("token_type"), "Bearer");
  EXPECT_GT(login.at("expires_in"), 0);
  token_ = login.at("access_token");
  EXPECT_EQ(json_of(call("GET", "/auth/me")).at("email"), "ada@example.org");
  EXPECT_EQ(call("POST", "/auth/logout").status, 204);
  EXPECT_EQ(call("GET", "/auth/me").status, 401);
}

TEST_F(ApiTest, AnUnknownAddressIsAnsweredLikeAWrongPassword) {
  sign_up("ada@example.org");
  const auto wrong = call("POST", "/auth/login", R"({"email": "ada@example.org", "password": "wrong password"})");
  const auto unknown = call("POST", "/auth/login", R"({"email": "eve@example.org", "password": "wrong password"})");
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(wrong.body, unknown.body);
}

TEST_F(ApiTest, AKeyIsShownOnceAndWorksUntilItIsDeleted) {
  sign_up("ada@example.org");
  const auto made = call("POST", "/auth/keys", R"({"name": "ci"})");
  ASSERT_EQ(made.status, 201);
  const std::string key = json_of(made).at("key");
  const std::string path = "/auth/keys/" + json_of(made).at("id").get<std::string>();
  EXPECT_EQ(header(made, "Location"), "/api/v1" + path);
  EXPECT_THAT(key, StartsWith("pbk_"));
  EXPECT_THAT(call("GET", "/auth/keys").body, Not(HasSubstr(key)));

  const auto session = std::exchange(token_, key);
  EXPECT_EQ(call("GET", "/auth/me").status, 200);
  token_ = session;
  EXPECT_EQ(call("DELETE", path).status, 204);
  EXPECT_EQ(call("DELETE", path).status, 404);
  token_ = key;
  EXPECT_EQ(call("GET", "/auth/me").status, 401);
}

TEST_F(ApiTest, AnothersKeyIsNotThere) {
  sign_up("ada@example.org");
  const std::string id = json_of(call("POST", "/auth/keys", R"({"name": "ci"})")).at("id");
  sign_up("eve@example.org");
  EXPECT_EQ(call("DELETE", "/auth/keys/" + id).status, 404);
  EXPECT_EQ(json_of(call("GET", "/auth/keys")).at("data").size(), 0U);
}

TEST_F(ApiTest, ListsThatAreReadWholeArePagedToo) {
  sign_up("ada@example.org");
  for (const auto* name : {"one", "two", "three"}) {
    ASSERT_EQ(call("POST", "/auth/keys", json{{"name", name}}.dump()).status, 201);
  }
  const auto first = json_of(call("GET", "/auth/keys?limit=2"));
  ASSERT_EQ(first.at("data").size(), 2U);
  EXPECT_EQ(first["data"][0].at("name"), "one");
  const auto second = json_of(call("GET", "/auth/keys?limit=2&cursor=" + first.at("next").get<std::string>()));
  ASSERT_EQ(second.at("data").size(), 1U);
  EXPECT_EQ(second["data"][0].at("name"), "three");
  EXPECT_TRUE(second.at("next").is_null());
}

struct BadBody {
  std::string text;
  std::vector<std::string> pointers;
};

TEST_F(ApiTest, ABodyIsReadStrictly) {
  for (const auto& [text, wanted] : std::vector<BadBody>{
           {"", {""}},
           {"{", {""}},
           {"[]", {""}},
           {R"("text")", {""}},
           {R"({"email": "a@example.org", "password": "correct horse"} x)", {""}},
           {R"({"email": "a@example.org", "email": "b@example.org", "password": "correct horse"})", {""}},
           {R"({})", {"/email", "/password"}},
           {R"({"email": 1, "password": ["x"]})", {"/email", "/password"}},
           {R"({"email": null, "password": "correct horse"})", {"/email"}},
           {R"({"email": "a@example.org", "password": "correct horse", "a/b~": 1})", {"/a~1b~0"}}}) {
    const auto response = call("POST", "/auth/register", text);
    EXPECT_EQ(response.status, 400) << text;
    EXPECT_EQ(pointers(response), wanted) << text;
    EXPECT_THAT(response.body, Not(HasSubstr("correct horse"))) << text;
  }
  EXPECT_EQ(call("POST", "/auth/register", std::string(200'000, '[')).status, 400);
  EXPECT_EQ(call("POST", "/auth/login", R"({"email": "a@example.org", "password": "correct horse"})").status, 401);
}

TEST_F(ApiTest, AConnectionNamesWhatIsWrongWithIt) {
  sign_up("ada@example.org");
  const auto type = call("POST", "/connections", R"({"provider": "p", "name": "n", "auth": {"token": 1}})");
  EXPECT_EQ(type.status, 400);
  EXPECT_THAT(pointers(type), UnorderedElementsAre("/auth/token", "/auth/type"));
  const auto missing = call("POST", "/connections", R"({"provider": "p", "name": "n"})");
  EXPECT_THAT(pointers(missing), ElementsAre("/auth"));
  const auto unknown =
      call("POST", "/connections", R"({"provider": "p", "name": "n", "auth": {"type": "token", "token": "hush"}})");
  EXPECT_EQ(unknown.status, 400);
  EXPECT_THAT(unknown.body, Not(HasSubstr("hush")));
  EXPECT_EQ(json_of(call("GET", "/connections")).at("data").size(), 0U);
}

}  // namespace
}  // namespace patchbay::api
