#include "support/http_server.hpp"

#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <thread>

#include "harness/http.hpp"

namespace patchbay::support {
namespace {

TEST(HttpServer, HandsOverTheWholeRequest) {
  std::promise<Request> seen;
  HttpServer server([&](Request request, HttpServer::Answer answer) {
    seen.set_value(std::move(request));
    answer({.status = 201, .headers = {{"X-One", "1"}}, .body = "made"});
  });
  const auto reply = harness::Http().send("POST", server.base_url() + "/a%20b?c=d%26e&f=g+h", {{"X-Two", "2"}}, "body");
  EXPECT_EQ(reply.status, 201);
  EXPECT_EQ(reply.body, "made");
  EXPECT_EQ(reply.header("x-one"), "1");
  const auto request = seen.get_future().get();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/a%20b");
  EXPECT_EQ(request.query, "c=d%26e&f=g+h");
  EXPECT_EQ(request.parameter("c"), "d&e");
  EXPECT_EQ(request.parameter("f"), "g h");
  EXPECT_EQ(request.parameter("x", "none"), "none");
  EXPECT_EQ(request.header("x-TWO"), "2");
  EXPECT_EQ(request.body, "body");
}

TEST(HttpServer, AnswersLaterFromAnotherThread) {
  std::vector<std::jthread> threads;
  HttpServer server([&](Request, HttpServer::Answer answer) {
    threads.emplace_back([answer = std::move(answer)]() mutable { answer({.body = "later"}); });
  });
  harness::Http http;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(http.send("GET", server.base_url() + "/").body, "later");
}

TEST(HttpServer, HangsUpWithoutAnAnswer) {
  HttpServer server([](Request, HttpServer::Answer answer) { answer({.status = kHangUp}); });
  const auto reply = harness::Http().send("GET", server.base_url() + "/");
  EXPECT_EQ(reply.status, 0);
  EXPECT_FALSE(reply.error.empty());
}

TEST(HttpServer, EndsWithOpenConnections) {
  std::optional<HttpServer> server;
  server.emplace([](Request, HttpServer::Answer answer) { answer({}); });
  harness::Http http;
  const auto url = server->base_url() + "/";
  EXPECT_EQ(http.send("GET", url).status, 200);
  server.reset();
  EXPECT_EQ(http.send("GET", url).status, 0);
}

}  // namespace
}  // namespace patchbay::support
