#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "egress/curl_client.hpp"
#include "scripted_server.hpp"

namespace patchbay::egress::testing {

// Adds what the test says; counts how often it was asked.
class FakeCredentials : public CredentialSource {
 public:
  Result<> authorize(HttpRequest& request) override {
    ++asked;
    if (!answer) return answer;
    if (!token.empty()) request.headers.emplace_back("Authorization", "Bearer " + token);
    return {};
  }
  int asked = 0;
  std::string token;
  Result<> answer;
};

// A client that may reach the scripted servers on loopback.
class ClientTest : public ::testing::Test {
 protected:
  ClientTest() { settings.allowed_private_networks = {"127.0.0.0/8", "::1/128"}; }

  void open_client() { client = make_curl_client(loop, clock, credentials, settings).value(); }

  static HttpRequest request(const std::string& method, const std::string& url, const std::string& body = "") {
    HttpRequest request;
    request.method = method;
    request.url = url;
    request.body = body;
    request.provider = "test";
    request.allowed_hosts = std::make_shared<const std::vector<std::string>>(1, "*");
    request.timeout = std::chrono::seconds{20};
    return request;
  }
  static HttpRequest with_connection(HttpRequest request) {
    request.connection = ConnectionId::make(system_clock().now());
    return request;
  }

  Result<HttpReply> fetch(HttpRequest request) {
    if (!client) open_client();
    std::optional<Result<HttpReply>> answer;
    client->send(std::move(request), [&](Result<HttpReply> result) { answer = std::move(result); });
    EXPECT_FALSE(answer) << "answered before send() returned";
    if (!loop.run_until([&] { return answer.has_value(); }, std::chrono::seconds{30})) {
      return fail(Errc::internal, "the test gave up waiting");
    }
    return std::move(*answer);
  }
  Result<HttpReply> get(const std::string& url) { return fetch(request("GET", url)); }
  Errc errc(HttpRequest request) {
    auto answer = fetch(std::move(request));
    if (answer) {
      ADD_FAILURE() << "answered with " << answer->status;
      return Errc::internal;
    }
    last_message = answer.error().message;
    return answer.error().code;
  }
  bool wait_for(const std::function<bool()>& done) { return loop.run_until(done, std::chrono::seconds{30}); }

  Loop loop;
  ManualClock clock;
  FakeCredentials credentials;
  CurlSettings settings;
  std::unique_ptr<HttpClient> client;
  std::string last_message;
};

}  // namespace patchbay::egress::testing
