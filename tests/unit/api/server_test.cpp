// Through the real port: what the library between makes of a request and an answer.
#include <thread>

#include <arpa/inet.h>
#include <sys/socket.h>

#include "api_fixture.hpp"

namespace patchbay::api {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Has the whole answer been read?
bool is_whole(const std::string& answer) {
  const auto head = answer.find("\r\n\r\n");
  const auto at = answer.find("Content-Length: ");
  if (head == std::string::npos || at > head) return false;
  return answer.size() >= head + 4 + std::strtoul(answer.c_str() + at + 16, nullptr, 10);
}

// Sends the bytes on a connection of its own and reads one answer, or until the other side closes. Pistache leaves
// closing to the client, even when that has said "Connection: close".
std::string exchange(std::uint16_t port, const std::string& bytes) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval limit{.tv_sec = 20, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
      ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size())) {
    std::array<char, 65536> buffer{};
    for (ssize_t count = 0; !is_whole(answer) && (count = ::recv(fd, buffer.data(), buffer.size(), 0)) > 0;) {
      answer.append(buffer.data(), static_cast<std::size_t>(count));
    }
  }
  ::close(fd);
  return answer;
}

class ServerTest : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    auto api = Api::start(services(), {.threads = 2, .secret = "s3cret"});
    ASSERT_TRUE(api) << api.error().message;
    api_ = *std::move(api);
    ASSERT_NE(api_->port(), 0);
  }
  void TearDown() override {
    api_.reset();
    ApiTest::TearDown();
  }
  std::string send(const std::string& line, const std::string& headers = "", const std::string& body = "",
                   const std::string& secret = "s3cret") {
    return exchange(api_->port(), line + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nX-Patchbay-Gateway: " +
                                      secret + "\r\nX-Request-Id: r-7\r\n" + headers +
                                      "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }

  std::unique_ptr<Api> api_;
};

TEST_F(ServerTest, WithoutTheSecretNothingIsAnswered) {
  for (const auto* secret : {"", "s3cre", "s3cret2", "S3CRET"}) {
    const auto answer = send("GET /api/v1/openapi.json", "", "", secret);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 403")) << secret;
    EXPECT_THAT(answer, Not(HasSubstr("openapi\":")));
  }
  EXPECT_THAT(exchange(api_->port(), "GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(send("GET /api/v1/openapi.json"), StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, AnEmptySecretIsRefused) {
  const auto refused = Api::start(services(), {.threads = 1, .secret = ""});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::invalid);
}

TEST_F(ServerTest, HeadersQueryAndBodyArrive) {
  sign_up("ada@example.org");
  const auto bearer = "authorization: bearer " + token_ + "\r\n";
  EXPECT_THAT(send("GET /api/v1/auth/me", bearer), HasSubstr("ada@example.org"));
  EXPECT_THAT(send("GET /api/v1/auth/me"), StartsWith("HTTP/1.1 401"));
  const auto odd = send("GET /api/v1/flows?a%20b=1", bearer);
  EXPECT_THAT(odd, StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(odd, HasSubstr("'a b'"));
  EXPECT_THAT(odd, HasSubstr("\"request_id\":\"r-7\""));
  EXPECT_THAT(odd, HasSubstr("application/problem+json"));

  const auto made = send("POST /api/v1/flows", bearer + "Content-Type: application/json\r\n", R"({"name": "one"})");
  EXPECT_THAT(made, StartsWith("HTTP/1.1 201"));
  EXPECT_THAT(made, HasSubstr("ETag: \"1\""));
  const auto at = made.find("Location: ") + 10;
  const auto path = made.substr(at, made.find("\r\n", at) - at);
  EXPECT_THAT(send("PUT " + path, bearer + "If-Match: \"1\"\r\n", R"({"name": "two"})"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(send("PUT " + path, bearer + "If-Match: \"1\"\r\n", R"({"name": "three"})"), StartsWith("HTTP/1.1 412"));
  EXPECT_THAT(send("DELETE " + path, bearer), StartsWith("HTTP/1.1 204"));
}

TEST_F(ServerTest, HeadAndOptionsAndOtherMethods) {
  const auto head = send("HEAD /api/v1/openapi.json");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200"));
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
  EXPECT_THAT(send("OPTIONS /api/v1/flows"), HasSubstr("Allow: POST, GET, HEAD, OPTIONS"));
  EXPECT_THAT(send("PATCH /api/v1/flows"), StartsWith("HTTP/1.1 405"));
}

TEST_F(ServerTest, ABodyOverTheLimitIsRefused) {
  api_.reset();
  api_ = Api::start(services(), {.threads = 1, .secret = "s3cret", .request_limit_bytes = 4096}).value();
  const auto answer = send("POST /api/v1/auth/login", "", std::string(8000, 'x'));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 413"));
}

// Each answer names the parameter that its own request had.
TEST_F(ServerTest, ManyAtOnceGetTheirOwnAnswers) {
  std::atomic<int> right = 0;
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < 8; ++i) {
      clients.emplace_back([&, i] {
        for (int round = 0; round < 20; ++round) {
          const auto name = "client" + std::to_string(i) + "round" + std::to_string(round);
          const auto answer = send("GET /api/v1/openapi.json?" + name + "=1");
          if (answer.find("'" + name + "'") != std::string::npos) ++right;
        }
      });
    }
  }
  EXPECT_EQ(right, 160);
}

TEST_F(ServerTest, StopsTwiceWithoutHarm) {
  const auto port = api_->port();
  api_->stop();
  api_->stop();
  EXPECT_EQ(exchange(port, "GET / HTTP/1.1\r\n\r\n"), "");
}

}  // namespace
}  // namespace patchbay::api
