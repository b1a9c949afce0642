#include "egress/curl_client.hpp"

#include "client_fixture.hpp"
#include "core/metrics.hpp"

namespace patchbay::egress::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

class CurlClient : public ClientTest {};

TEST_F(CurlClient, AnswersWithStatusHeadersAndBody) {
  ScriptedServer server([](const Received&) {
    return Scripted{
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        "HTTP/1.1 201 Created\r\nX-Some: One\r\nx-some:two \r\nEmpty:\r\nContent-Length: 5\r\n\r\nhello"};
  });
  const auto answer = get(server.url("/a?b=c")).value();
  EXPECT_EQ(answer.status, 201);
  EXPECT_EQ(answer.body, "hello");
  EXPECT_THAT(answer.headers, ElementsAre(Pair("x-some", "One"), Pair("x-some", "two"), Pair("empty", ""),
                                          Pair("content-length", "5")));
  EXPECT_EQ(answer.header("x-some"), "One");
  EXPECT_EQ(answer.header("nothing"), "");
  EXPECT_EQ(server.received()[0].target, "/a?b=c");
}

TEST_F(CurlClient, SendsMethodHeadersAndBodyAndNothingElse) {
  ScriptedServer server([](const Received&) { return reply(200); });
  auto post = request("POST", server.url("/#fragment"), R"({"a":1})");
  post.headers = {{"Content-Type", "application/json"}, {"X-Empty", ""}, {"X-Value", "v"}};
  ASSERT_TRUE(fetch(std::move(post)));
  ASSERT_TRUE(fetch(request("POST", server.url(), "raw")));
  const auto received = server.received();
  EXPECT_EQ(received[0].method, "POST");
  EXPECT_EQ(received[0].target, "/");
  EXPECT_EQ(received[0].body, R"({"a":1})");
  EXPECT_EQ(received[0].headers,
            (std::map<std::string, std::string>{{"host", "127.0.0.1:" + std::to_string(server.port())},
                                                {"user-agent", "Patchbay"},
                                                {"accept", "*/*"},
                                                {"content-type", "application/json"},
                                                {"x-empty", ""},
                                                {"x-value", "v"},
                                                {"content-length", "7"}}));
  EXPECT_EQ(received[1].headers.count("content-type"), 0U);
}

// One handle after the other takes every form, so nothing of the request before may be left in it.
TEST_F(CurlClient, MethodsDoNotLeakIntoEachOther) {
  ScriptedServer server([](const Received& request) {
    if (request.method == "HEAD") return Scripted{"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n"};
    return reply(200, request.method + " " + request.body);
  });
  for (int round = 0; round < 2; ++round) {
    for (const auto& [method, body, expected] : std::vector<std::array<std::string, 3>>{{"POST", "x", "POST x"},
                                                                                        {"GET", "", "GET "},
                                                                                        {"HEAD", "", ""},
                                                                                        {"PUT", "y", "PUT y"},
                                                                                        {"HEAD", "", ""},
                                                                                        {"POST", "", "POST "},
                                                                                        {"DELETE", "", "DELETE "},
                                                                                        {"DELETE", "z", "DELETE z"},
                                                                                        {"GET", "body", "GET body"},
                                                                                        {"PATCH", "p", "PATCH p"},
                                                                                        {"OPTIONS", "", "OPTIONS "},
                                                                                        {"HEAD", "", ""},
                                                                                        {"GET", "", "GET "}}) {
      const auto answer = fetch(request(method, server.url(), body));
      ASSERT_TRUE(answer) << method;
      EXPECT_EQ(answer->body, expected);
    }
  }
  const auto received = server.received();
  EXPECT_EQ(received[1].headers.count("content-length"), 0U);
  EXPECT_EQ(received[5].header("content-length"), "0");
}

TEST_F(CurlClient, KeepsTheConnection) {
  ScriptedServer server([](const Received&) { return reply(200, "ok"); });
  for (int i = 0; i < 20; ++i) ASSERT_EQ(fetch(request("POST", server.url(), "x")).value().body, "ok");
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(CurlClient, OpensAnotherWhenTheKeptOneWasClosed) {
  ScriptedServer server([](const Received&) {
    auto answer = reply(200, "ok");
    answer.then = Scripted::Then::close;
    return answer;
  });
  for (int i = 0; i < 5; ++i) ASSERT_EQ(fetch(request("POST", server.url(), "x")).value().body, "ok");
  EXPECT_EQ(server.connections(), 5);
  EXPECT_EQ(server.count(), 5U);
}

TEST_F(CurlClient, SendsLargeBodiesWithoutAskingFirst) {
  ScriptedServer server([](const Received& request) { return reply(200, std::to_string(request.body.size())); });
  const auto answer = fetch(request("POST", server.url(), std::string(3 << 20, 'x'))).value();
  EXPECT_EQ(answer.body, std::to_string(3 << 20));
  EXPECT_EQ(server.received()[0].headers.count("expect"), 0U);
}

TEST_F(CurlClient, ReadsLargeAndChunkedReplies) {
  const std::string large(2 << 20, 'y');
  ScriptedServer server([&](const Received& request) {
    if (request.target == "/large") return reply(200, large);
    return Scripted{
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: t\r\n\r\n"};
  });
  EXPECT_EQ(get(server.url("/large")).value().body, large);
  const auto chunked = get(server.url("/chunked")).value();
  EXPECT_EQ(chunked.body, "abcde");
  EXPECT_EQ(chunked.header("x-trailer"), "");
}

// printf hello | gzip -n
const std::string kGzippedHello("\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\x48\xcd\xc9\xc9\x07\0\x86\xa6\x10\x36\x05\0\0\0", 25);

TEST_F(CurlClient, DecodesWhenAskedTo) {
  ScriptedServer server([&](const Received&) { return reply(200, kGzippedHello, {{"Content-Encoding", "gzip"}}); });
  auto asking = request("GET", server.url());
  asking.headers = {{"Accept-Encoding", "gzip"}};
  const auto decoded = fetch(std::move(asking)).value();
  EXPECT_EQ(decoded.body, "hello");
  EXPECT_TRUE(decoded.headers.empty()) << decoded.headers[0].first;
  EXPECT_EQ(get(server.url()).value().body, kGzippedHello);
  EXPECT_EQ(server.received()[0].header("accept-encoding"), "gzip");
  EXPECT_EQ(server.received()[1].headers.count("accept-encoding"), 0U);
}

TEST_F(CurlClient, ThousandAtOnceOnFewConnections) {
  ScriptedServer server([](const Received& request) { return reply(200, request.body); });
  settings.connections_per_host = 16;
  open_client();
  int right = 0;
  for (int i = 0; i < 1000; ++i) {
    client->send(request("POST", server.url(), std::to_string(i)), [&, i](Result<HttpReply> answer) {
      if (answer && answer->body == std::to_string(i)) ++right;
    });
  }
  ASSERT_TRUE(wait_for([&] { return right == 1000; })) << right;
  EXPECT_EQ(server.count(), 1000U);
  EXPECT_LE(server.connections(), 16);
}

TEST_F(CurlClient, ASlowOriginDoesNotHoldUpAnother) {
  ScriptedServer slow([](const Received&) { return silence(); });
  ScriptedServer quick([](const Received&) { return reply(200); });
  settings.connections_per_host = 2;
  settings.connections = 4;
  open_client();
  int slow_ones = 0;
  for (int i = 0; i < 10; ++i) client->send(request("GET", slow.url()), [&](const Result<HttpReply>&) { ++slow_ones; });
  int quick_ones = 0;
  for (int i = 0; i < 10; ++i)
    client->send(request("GET", quick.url()), [&](const Result<HttpReply>&) { ++quick_ones; });
  EXPECT_TRUE(wait_for([&] { return quick_ones == 10; }));
  EXPECT_EQ(slow_ones, 0);
}

TEST_F(CurlClient, TheTotalOfConnectionsIsShared) {
  ScriptedServer one([](const Received&) { return reply(200); });
  ScriptedServer other([](const Received&) { return reply(200); });
  settings.connections = 1;
  open_client();
  int answered = 0;
  for (int i = 0; i < 20; ++i) {
    const auto& server = i % 2 == 0 ? one : other;
    client->send(request("GET", server.url()), [&](const Result<HttpReply>& answer) { answered += answer ? 1 : 0; });
  }
  EXPECT_TRUE(wait_for([&] { return answered == 20; }));
}

TEST_F(CurlClient, RefusesMoreThanMayWait) {
  ScriptedServer server([](const Received&) { return silence(); });
  settings.connections_per_host = 1;
  settings.waiting = 2;
  open_client();
  std::vector<Errc> errors;
  for (int i = 0; i < 5; ++i) {
    client->send(request("GET", server.url()),
                 [&](const Result<HttpReply>& answer) { errors.push_back(answer.error().code); });
  }
  ASSERT_TRUE(wait_for([&] { return errors.size() == 2; }));
  EXPECT_THAT(errors, ElementsAre(Errc::exhausted, Errc::exhausted));
}

TEST_F(CurlClient, GivesUpWaitingForAConnection) {
  ScriptedServer server([](const Received&) { return silence(); });
  settings.connections_per_host = 1;
  open_client();
  client->send(request("GET", server.url()), [](const Result<HttpReply>&) {});
  auto second = request("GET", server.url());
  second.timeout = std::chrono::milliseconds{50};
  EXPECT_EQ(errc(std::move(second)), Errc::timeout);
  EXPECT_THAT(last_message, HasSubstr("no connection became free"));
}

TEST_F(CurlClient, CancelAnswersOnceAndFreesThePlace) {
  ScriptedServer server([](const Received& request) { return request.target == "/slow" ? silence() : reply(200); });
  settings.connections_per_host = 1;
  open_client();
  std::vector<Errc> errors;
  const auto note = [&](const Result<HttpReply>& answer) { errors.push_back(answer.error().code); };
  const auto running = client->send(request("GET", server.url("/slow")), note);
  const auto waiting = client->send(request("GET", server.url("/slow")), note);
  ASSERT_TRUE(wait_for([&] { return server.count() == 1; }));
  client->cancel(waiting);
  client->cancel(running);
  EXPECT_TRUE(errors.empty()) << "told before cancel() returned";
  client->cancel(running);
  client->cancel(0);
  client->cancel(12345);
  ASSERT_TRUE(wait_for([&] { return errors.size() == 2; }));
  EXPECT_THAT(errors, ElementsAre(Errc::cancelled, Errc::cancelled));
  EXPECT_EQ(get(server.url("/quick")).value().status, 200);
  client->cancel(running);  // its place is used by another by now
  EXPECT_EQ(errors.size(), 2U);
}

TEST_F(CurlClient, CancelDuringABackOff) {
  ScriptedServer server([](const Received&) { return reply(503, "", {{"Retry-After", "15"}}); });
  open_client();
  std::optional<Errc> error;
  const auto handle =
      client->send(request("GET", server.url()), [&](const Result<HttpReply>& answer) { error = answer.error().code; });
  ASSERT_TRUE(wait_for([&] { return server.count() == 1; }));
  ScriptedServer other([](const Received&) { return reply(200); });
  EXPECT_TRUE(get(other.url())) << "meanwhile others are served";
  client->cancel(handle);
  ASSERT_TRUE(wait_for([&] { return error.has_value(); }));
  EXPECT_EQ(error, Errc::cancelled);
  EXPECT_EQ(server.count(), 1U);
}

TEST_F(CurlClient, DestructionCancelsWhatIsUnderWay) {
  ScriptedServer server([](const Received&) { return silence(); });
  settings.connections_per_host = 2;
  open_client();
  std::vector<Errc> errors;
  for (int i = 0; i < 5; ++i) {
    client->send(request("GET", server.url()),
                 [&](const Result<HttpReply>& answer) { errors.push_back(answer.error().code); });
  }
  ASSERT_TRUE(wait_for([&] { return server.count() == 2; }));
  client.reset();
  ASSERT_TRUE(wait_for([&] { return errors.size() == 5; }));
  EXPECT_THAT(errors, ::testing::Each(Errc::cancelled));
}

TEST_F(CurlClient, MayBeDestroyedByTheAnswer) {
  ScriptedServer server([](const Received& request) { return request.target == "/slow" ? silence() : reply(200); });
  open_client();
  std::optional<Errc> slow;
  client->send(request("GET", server.url("/slow")),
               [&](const Result<HttpReply>& answer) { slow = answer.error().code; });
  client->send(request("GET", server.url("/")), [&](const Result<HttpReply>&) { client.reset(); });
  ASSERT_TRUE(wait_for([&] { return slow.has_value(); }));
  EXPECT_EQ(slow, Errc::cancelled);
}

TEST_F(CurlClient, AnswersMaySendAgain) {
  ScriptedServer server([](const Received&) { return reply(200); });
  open_client();
  int left = 50;
  std::function<void()> next = [&] {
    client->send(request("GET", server.url()), [&](const Result<HttpReply>& answer) {
      ASSERT_TRUE(answer);
      if (--left > 0) next();
    });
  };
  next();
  ASSERT_TRUE(wait_for([&] { return left == 0; }));
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(CurlClient, CountsByProviderAndStatus) {
  const auto count = [](const char* status) {
    return metrics::counter("patchbay_http_client_requests_total", "", {{"provider", "counted"}, {"status", status}})
        .value();
  };
  ScriptedServer server([](const Received& request) { return reply(std::stoi(request.target.substr(1))); });
  for (const char* path : {"/200", "/204", "/404"}) {
    auto counted = request("GET", server.url(path));
    counted.provider = "counted";
    ASSERT_TRUE(fetch(std::move(counted)));
  }
  auto refused = request("GET", "https://user@host/");
  refused.provider = "counted";
  ASSERT_FALSE(fetch(std::move(refused)));
  EXPECT_EQ(count("2xx"), 2);
  EXPECT_EQ(count("4xx"), 1);
  EXPECT_EQ(count("error"), 1);
  EXPECT_EQ(metrics::gauge("patchbay_http_client_in_flight", "", {{"provider", "counted"}}).value(), 0);
  EXPECT_THAT(metrics::exposition(), HasSubstr(R"(patchbay_http_client_seconds_count{provider="counted"} 4)"));
}

}  // namespace
}  // namespace patchbay::egress::testing
