#include <gmock/gmock.h>

#include "gateway/proxy.hpp"
#include "gateway_fixture.hpp"

namespace patchbay::gateway {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string get(std::string_view path) { return "GET " + std::string(path) + " HTTP/1.1\r\nHost: h\r\n\r\n"; }

// A host behind the gateway, one connection at a time, played by the test.
class Upstream {
 public:
  Upstream() : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    ::listen(fd_, 16);
    socklen_t length = sizeof address;
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length);
    port = ntohs(address.sin_port);
    ::fcntl(fd_, F_SETFL, O_NONBLOCK);
  }
  ~Upstream() { ::close(fd_); }

  // Takes the request and answers it; returns what it got.
  std::string serve(Loop& loop, std::string_view answer) {
    int peer = -1;
    loop.run_until([&] { return (peer = ::accept(fd_, nullptr, nullptr)) >= 0; }, std::chrono::seconds{5});
    ::fcntl(peer, F_SETFL, O_NONBLOCK);
    std::string got;
    loop.run_until(
        [&] {
          char buffer[8192];
          const auto count = ::recv(peer, buffer, sizeof buffer, 0);
          if (count > 0) got.append(buffer, static_cast<std::size_t>(count));
          return got.find("\r\n\r\n") != std::string::npos;
        },
        std::chrono::seconds{5});
    if (!answer.empty()) ::send(peer, answer.data(), answer.size(), MSG_NOSIGNAL);
    ::close(peer);
    return got;
  }
  std::uint16_t port = 0;

 private:
  int fd_;
};

TEST_F(GatewayTest, TheApiGetsOneNormalFormAndTheSecret) {
  Upstream api;
  GatewaySettings settings;
  settings.api_port = api.port;
  settings.api_secret = "s3cret";
  start(settings);
  auto peer = client();
  peer->send(
      "GET /api/v1/%66lows/a%20b?limit=1 HTTP/1.1\r\nHost: evil\r\nX-Patchbay-Gateway: forged\r\n"
      "Connection: x-hop\r\nTE: trailers\r\nAuthorization: Bearer t\r\nX-Request-Id: rid\r\n\r\n");
  const auto got =
      api.serve(loop_,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: \"1\"\r\nX-Patchbay-Gateway: s3cret\r\n"
                "Content-Length: 2\r\n\r\n{}");
  EXPECT_THAT(got, ::testing::StartsWith("GET /api/v1/flows/a%20b?limit=1 HTTP/1.1\r\n"));
  EXPECT_THAT(got, HasSubstr("X-Patchbay-Gateway: s3cret\r\n"));
  EXPECT_THAT(got, HasSubstr("X-Request-Id: rid\r\n"));
  EXPECT_THAT(got, HasSubstr("X-Patchbay-Client: 127.0.0.1\r\n"));
  EXPECT_THAT(got, HasSubstr("authorization: Bearer t\r\n"));
  EXPECT_THAT(got, ::testing::AllOf(Not(HasSubstr("forged")), Not(HasSubstr("evil")), Not(HasSubstr("trailers"))));
  const auto answer = peer->receive();
  EXPECT_THAT(answer,
              ::testing::AllOf(HasSubstr("200"), HasSubstr("ETag: \"1\""), HasSubstr("{}"), Not(HasSubstr("s3cret"))));
}

TEST_F(GatewayTest, AnApiThatIsAwayIsA502AndASilentOneA504) {
  {
    Upstream gone;
    GatewaySettings settings;
    settings.api_port = gone.port;
    settings.api_timeout = std::chrono::milliseconds{200};
    start(settings);
    auto waiting = client();
    waiting->send(get("/api/v1/flows"));
    waiting->receive();
    EXPECT_EQ(waiting->statuses(), std::vector{504});
  }
  auto peer = client();
  peer->send(get("/api/v1/flows"));
  peer->receive();
  EXPECT_EQ(peer->statuses(), std::vector{502});
}

TEST_F(GatewayTest, AnAnswerToHeadKeepsTheLengthAndHasNoBody) {
  Upstream api;
  GatewaySettings settings;
  settings.api_port = api.port;
  start(settings);
  auto peer = client();
  peer->head_only = true;
  peer->send("HEAD /api/v1/flows HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(api.serve(loop_, "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n"), HasSubstr("HEAD /api/v1/flows "));
  EXPECT_THAT(peer->receive(), ::testing::AllOf(HasSubstr("Content-Length: 17\r\n"), ::testing::EndsWith("\r\n\r\n")));
}

TEST_F(GatewayTest, AnApiThatTalksNonsenseIsA502) {
  Upstream api;
  GatewaySettings settings;
  settings.api_port = api.port;
  start(settings);
  for (const auto* nonsense :
       {"hello\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}", "HTTP/1.1 100 Continue\r\n\r\n"}) {
    auto peer = client();
    peer->send(get("/api/v1/flows"));
    api.serve(loop_, nonsense);
    peer->receive();
    EXPECT_EQ(peer->statuses(), std::vector{502}) << nonsense;
  }
}

TEST_F(GatewayTest, TheApiIsAskedWithTheWholeBodyWhateverItsFraming) {
  Upstream api;
  GatewaySettings settings;
  settings.api_port = api.port;
  start(settings);
  auto peer = client();
  peer->send(
      "POST /api/v1/flows HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "1;x=y\r\n{\r\n1\r\n}\r\n0\r\n\r\n");
  const auto got = api.serve(loop_, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
  EXPECT_THAT(got, ::testing::AllOf(HasSubstr("Content-Length: 2\r\n"), ::testing::EndsWith("\r\n\r\n{}"),
                                    Not(HasSubstr("chunked"))));
}

TEST_F(GatewayTest, EscapesInTheQueryOfTheApiMustBeWhole) {
  start();
  auto peer = client();
  peer->send(get("/api/v1/flows?a=%4"));
  peer->receive();
  EXPECT_EQ(peer->statuses(), std::vector{400});
}

TEST(NormalHeaders, AreThoseThatTheApiReadsOneOfEach) {
  EXPECT_EQ(normal_headers({{"accept", "a"},
                            {"authorization", "Bearer a"},
                            {"x-patchbay-client", "6.6.6.6"},
                            {"connection", "close"},
                            {"if-match", "\"1\""}}),
            (Headers{{"authorization", "Bearer a"}, {"if-match", "\"1\""}}));
  EXPECT_EQ(normal_headers({{"authorization", "Bearer a"}, {"authorization", "Bearer b"}}), std::nullopt);
}

}  // namespace
}  // namespace patchbay::gateway
