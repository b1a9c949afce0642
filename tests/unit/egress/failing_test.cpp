#include "client_fixture.hpp"

namespace patchbay::egress::testing {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

class Failing : public ClientTest {};

// Answers the first requests with what it is given, the later ones with 200.
class Stumbling {
 public:
  Stumbling(int failures, Scripted failure) : failures_(failures), failure_(std::move(failure)) {}
  Scripted operator()(const Received&) { return failures_-- > 0 ? failure_ : reply(200, "at last"); }

 private:
  int failures_;
  Scripted failure_;
};

TEST_F(Failing, NobodyListens) {
  int port = 0;
  {
    port = ScriptedServer([](const Received&) { return silence(); }).port();
  }
  EXPECT_EQ(errc(request("POST", "http://127.0.0.1:" + std::to_string(port))), Errc::unavailable);
  EXPECT_EQ(last_message, "127.0.0.1: Connection refused");
}

TEST_F(Failing, ANameThatDoesNotExist) {
  settings.repeats = 0;
  EXPECT_EQ(errc(request("POST", "https://nothing.invalid/")), Errc::unavailable);
  EXPECT_EQ(last_message, "nothing.invalid: name cannot be resolved");
}

TEST_F(Failing, NoAnswerInTime) {
  ScriptedServer server([](const Received& request) {
    return request.target == "/slow-body" ? Scripted{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"} : silence();
  });
  for (const char* path : {"/silent", "/slow-body"}) {
    auto sent = request("GET", server.url(path));
    sent.timeout = 100ms;
    EXPECT_EQ(errc(std::move(sent)), Errc::timeout) << path;
  }
  EXPECT_EQ(server.count(), 2U) << "no time was left for another attempt";
}

TEST_F(Failing, NoConnectionInTime) {
  // A listener whose queue is full leaves SYNs unanswered.
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener, 0), 0);
  socklen_t length = sizeof address;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  std::vector<int> fillers;
  for (int i = 0; i < 4; ++i) {
    fillers.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    if (::connect(fillers.back(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) continue;
    pollfd writable{fillers.back(), POLLOUT, 0};
    if (::poll(&writable, 1, 50) == 0) break;  // this one hangs: full
  }
  settings.connect_timeout = 100ms;
  settings.repeats = 0;
  EXPECT_EQ(errc(request("GET", "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)))), Errc::timeout);
  for (const int filler : fillers) ::close(filler);
  ::close(listener);
}

TEST_F(Failing, RepliesOverTheLimit) {
  settings.reply_limit_bytes = 1000;
  ScriptedServer server([](const Received& request) {
    if (request.target == "/announced") return Scripted{"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"};
    if (request.target == "/exact") return reply(200, std::string(1000, 'x'));
    if (request.target == "/headers") return reply(200, "", {{"X", std::string(70'000, 'x')}});
    if (request.target == "/many") return reply(200, "", HeaderList(5000, {"X-Some-Header", "some value"}));
    Scripted endless{"HTTP/1.1 200 OK\r\n\r\n" + std::string(1001, 'x')};
    endless.then = Scripted::Then::close;
    return endless;
  });
  EXPECT_EQ(get(server.url("/exact")).value().body.size(), 1000U);
  for (const char* path : {"/announced", "/endless", "/headers", "/many"}) {
    EXPECT_EQ(errc(request("GET", server.url(path))), Errc::exhausted) << path << " " << last_message;
  }
}

// python3 -c "import gzip;print(gzip.compress(bytes(5000), mtime=0).hex())"
const std::string kGzippedZeros(
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc1\x31\x01\x00\x00\x00\xc2\xa0\xf5"
    "\x4f\x6d\x0a\x3f\xa0\x00\x00\x00\x00\x80\xb7\x01\xa8\x0e\xe5\xd8\x88\x13\x00\x00",
    40);

TEST_F(Failing, ADecodedReplyOverTheLimit) {
  settings.reply_limit_bytes = 1000;
  ScriptedServer server([](const Received&) { return reply(200, kGzippedZeros, {{"Content-Encoding", "gzip"}}); });
  auto sent = request("GET", server.url());
  sent.headers = {{"Accept-Encoding", "gzip"}};
  EXPECT_EQ(errc(std::move(sent)), Errc::exhausted) << last_message;
}

TEST_F(Failing, Garbage) {
  settings.repeats = 0;
  for (const std::string& garbage :
       {std::string(), std::string("hello\r\n\r\n"), std::string("\0\0\0\0", 4), std::string("SSH-2.0-OpenSSH\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n12345"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n"),
        std::string("HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n", 47),
        std::string("HTTP/1.1 200 OK\r\nX: ")}) {
    ScriptedServer server([&](const Received&) { return Scripted{garbage, Scripted::Then::close}; });
    EXPECT_EQ(errc(request("GET", server.url())), Errc::unavailable) << garbage;
  }
}

TEST_F(Failing, ResetInTheMiddleOfTheBody) {
  settings.repeats = 0;
  ScriptedServer server([](const Received&) {
    return Scripted{"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n12345", Scripted::Then::reset};
  });
  EXPECT_EQ(errc(request("GET", server.url())), Errc::unavailable);
}

TEST_F(Failing, IsRepeatedOnPassingStatus) {
  for (const int status : {502, 503, 504}) {
    ScriptedServer server(Stumbling(2, reply(status, "", {{"Retry-After", "0"}})));
    EXPECT_EQ(get(server.url()).value().body, "at last");
    EXPECT_EQ(server.count(), 3U);
  }
}

TEST_F(Failing, IsRepeatedOnALostConnection) {
  for (const auto then : {Scripted::Then::close, Scripted::Then::reset}) {
    ScriptedServer server(Stumbling(2, {"", then}));
    EXPECT_EQ(get(server.url()).value().body, "at last");
    EXPECT_EQ(server.count(), 3U);
  }
}

TEST_F(Failing, GivesTheLastReplyWhenRepeatsAreUsedUp) {
  ScriptedServer server(Stumbling(99, reply(503, "no", {{"Retry-After", "0"}})));
  EXPECT_EQ(get(server.url()).value().body, "no");
  EXPECT_EQ(server.count(), 3U);
}

TEST_F(Failing, AsksForCredentialsAtEachAttempt) {
  ScriptedServer server(Stumbling(1, reply(503, "", {{"Retry-After", "0"}})));
  credentials.token = "token-1";
  EXPECT_TRUE(fetch(with_connection(request("GET", server.url()))));
  EXPECT_EQ(credentials.asked, 2);
  EXPECT_EQ(server.received()[1].header("authorization"), "Bearer token-1");
}

TEST_F(Failing, APostIsNotRepeatedUnlessItMayBe) {
  ScriptedServer server(Stumbling(1, reply(503, "no", {{"Retry-After", "0"}})));
  EXPECT_EQ(fetch(request("POST", server.url(), "x")).value().status, 503);
  EXPECT_EQ(server.count(), 1U);

  ScriptedServer other(Stumbling(1, reply(503, "no", {{"Retry-After", "0"}})));
  auto repeatable = request("POST", other.url(), "x");
  repeatable.repeatable = true;
  EXPECT_EQ(fetch(std::move(repeatable)).value().status, 200);
  EXPECT_EQ(other.received()[1].body, "x");
}

TEST_F(Failing, OtherStatusIsAnAnswer) {
  for (const int status : {400, 401, 404, 429, 500, 501}) {
    ScriptedServer server(Stumbling(1, reply(status, "", {{"Retry-After", "0"}})));
    EXPECT_EQ(get(server.url()).value().status, status);
    EXPECT_EQ(server.count(), 1U);
  }
}

TEST_F(Failing, ARetryAfterBeyondTheTimeoutIsNotWaitedFor) {
  ScriptedServer server(Stumbling(1, reply(503, "", {{"Retry-After", "3600"}})));
  EXPECT_EQ(get(server.url()).value().status, 503);
  EXPECT_EQ(server.count(), 1U);
}

TEST_F(Failing, ARetryAfterMayBeADate) {
  clock.advance(parse_rfc3339("2026-11-21T05:00:00Z").value() - clock.now());
  ScriptedServer late(Stumbling(1, reply(503, "", {{"Retry-After", "Sat, 21 Nov 2026 06:00:00 GMT"}})));
  EXPECT_EQ(get(late.url()).value().status, 503);
  ScriptedServer past(Stumbling(1, reply(503, "", {{"Retry-After", "Sat, 21 Nov 2026 04:59:00 GMT"}})));
  EXPECT_EQ(get(past.url()).value().status, 200);
}

TEST_F(Failing, WithoutCredentialsNothingIsSent) {
  ScriptedServer server([](const Received&) { return reply(200); });
  credentials.answer = fail(Errc::unauthenticated, "octo must be connected again");
  EXPECT_EQ(errc(with_connection(request("GET", server.url()))), Errc::unauthenticated);
  EXPECT_EQ(last_message, "octo must be connected again");
  EXPECT_EQ(server.count(), 0U);
  EXPECT_TRUE(get(server.url())) << "nobody's request needs none";
}

}  // namespace
}  // namespace patchbay::egress::testing
