#include "client_fixture.hpp"
#include "core/log.hpp"
#include "core/metrics.hpp"
#include "egress/signer.hpp"
#include "logged.hpp"

namespace patchbay::egress::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Changes requests as the test says.
class Credentials : public CredentialSource {
 public:
  Result<> authorize(HttpRequest& request) override {
    change(request);
    return {};
  }
  std::function<void(HttpRequest&)> change;
};

std::shared_ptr<const Signer> aws(AwsSigV4::Place place, const std::string& service = "service") {
  return make_aws_sigv4_signer({.access_key_id = "AKIDEXAMPLE",
                                .secret_access_key = Secret("secret-key-1"),
                                .session_token = Secret("session+token-1"),
                                .region = "eu-west-1",
                                .service = service,
                                .place = place})
      .value();
}

std::shared_ptr<const Signer> stamped() {
  HmacScheme scheme;
  scheme.key = Secret("secret-key-1");
  scheme.signed_parts = {"timestamp", "path", "text:?", "query", "header:x-hook", "body"};
  scheme.timestamp_header = "x-time";
  return make_hmac_signer(std::move(scheme)).value();
}

class Signing : public ClientTest {
 protected:
  Signing() { client = make_curl_client(loop, clock, changing, settings).value(); }
  void sign_with(std::shared_ptr<const Signer> signer) {
    changing.change = [signer = std::move(signer)](HttpRequest& request) { request.signer = signer; };
  }
  // What a signer says to what a server received.
  std::string expected(const Signer& signer, const Received& received, const std::string& url, Timestamp now) {
    Headers headers;
    for (const auto& [name, value] : received.headers) headers.emplace_back(name, value);
    auto sent = url;
    Signable request{received.method, sent, headers, received.body, now, {}, {}};
    EXPECT_TRUE(signer.sign(request));
    return request.added.at(0).second;
  }

  Credentials changing;
};

TEST_F(Signing, IsOverWhatTheServerReceives) {
  ScriptedServer server([](const Received&) { return reply(200); });
  const auto signer = stamped();
  sign_with(signer);
  auto sent = with_connection(request("POST", server.url("/a/../b%2Fc/ref-1?q=ref-1#part"), R"({"a":"ref-1"})"));
  sent.headers = {{"X-Hook", "ref-1"}, {"Content-Type", "application/json"}, {"X-Signature", "forged"}};
  sent.expansions = {{"ref-1", Secret("sec ret-1")}};
  ASSERT_TRUE(fetch(std::move(sent)));
  const auto received = server.received()[0];
  EXPECT_EQ(received.target, "/a/../b%2Fc/sec%20ret-1?q=sec%20ret-1");
  EXPECT_EQ(received.header("x-signature"), expected(*signer, received, server.url(received.target), clock.now()));
  EXPECT_EQ(received.header("x-time"), std::to_string(millis(clock.now()) / 1000));
}

TEST_F(Signing, OfAHeadRequestIsWithoutABody) {
  ScriptedServer server([](const Received&) { return Scripted{"HTTP/1.1 200 OK\r\n\r\n"}; });
  const auto signer = stamped();
  sign_with(signer);
  auto sent = with_connection(request("HEAD", server.url(), "body"));
  sent.headers = {{"X-Hook", "1"}};
  ASSERT_TRUE(fetch(std::move(sent)));
  const auto received = server.received()[0];
  EXPECT_EQ(received.header("x-signature"), expected(*signer, received, server.url(), clock.now()));
}

TEST_F(Signing, TheHostThatIsSignedIsTheOneThatIsSent) {
  ScriptedServer server([](const Received&) { return reply(200); });
  sign_with(aws(AwsSigV4::Place::header));
  for (const char* host : {"127.0.0.1", "LocalHost"}) {
    const auto url = server.url("/x", host);
    ASSERT_TRUE(fetch(with_connection(request("GET", url))));
    const auto received = server.received().back();
    EXPECT_EQ(received.header("host"), url.substr(7, url.rfind('/') - 7));
    EXPECT_EQ(received.header("x-amz-security-token"), "session+token-1");
    EXPECT_THAT(received.header("authorization"), HasSubstr("SignedHeaders=host;x-amz-date;x-amz-security-token, "));
  }
}

TEST_F(Signing, IsMadeAnewForEachAttempt) {
  ScriptedServer server([this, n = 0](const Received&) mutable {
    clock.advance(std::chrono::seconds{10});
    return n++ == 0 ? reply(503, "", {{"Retry-After", "0"}}) : reply(200);
  });
  sign_with(aws(AwsSigV4::Place::query, "s3"));
  ASSERT_TRUE(fetch(with_connection(request("GET", server.url("/x?a=b")))));
  ASSERT_EQ(server.count(), 2U);
  EXPECT_THAT(server.received()[0].target, HasSubstr("/x?a=b&X-Amz-Algorithm="));
  EXPECT_THAT(server.received()[0].target, HasSubstr("&X-Amz-Date=20231114T221320Z&"));
  EXPECT_THAT(server.received()[1].target, HasSubstr("/x?a=b&X-Amz-Algorithm="));
  EXPECT_THAT(server.received()[1].target, HasSubstr("&X-Amz-Date=20231114T221330Z&"));
}

TEST_F(Signing, IsMadeAnewAfterARedirectOnTheSameOrigin) {
  ScriptedServer server([](const Received& request) {
    return request.target.starts_with("/a") ? redirect(307, "/b" + request.target.substr(2)) : reply(200);
  });
  sign_with(aws(AwsSigV4::Place::query));
  ASSERT_TRUE(fetch(with_connection(request("POST", server.url("/a"), "body"))));
  const auto second = server.received()[1].target;
  EXPECT_THAT(second, HasSubstr("/b?X-Amz-Algorithm="));
  EXPECT_EQ(second.find("X-Amz-Signature"), second.rfind("X-Amz-Signature"));
  EXPECT_NE(second, "/b" + server.received()[0].target.substr(2));
}

TEST_F(Signing, DoesNotGoToAnotherOrigin) {
  ScriptedServer other([](const Received&) { return reply(200); });
  ScriptedServer server([&](const Received&) { return redirect(307, other.url("/x")); });
  sign_with(aws(AwsSigV4::Place::header, "s3"));
  ASSERT_TRUE(fetch(with_connection(request("PUT", server.url("/a"), "body"))));
  EXPECT_EQ(server.received()[0].headers.count("x-amz-content-sha256"), 1U);
  const auto elsewhere = other.received().at(0);
  for (const auto& [name, value] : elsewhere.headers) {
    EXPECT_FALSE(name.starts_with("x-amz-") || name == "authorization") << name << ": " << value;
  }
}

TEST_F(Signing, IsOfOneAttemptOnly) {
  ScriptedServer server([n = 0](const Received&) mutable {
    return n++ == 0 ? reply(503, "", {{"Retry-After", "0"}}) : reply(200);
  });
  changing.change = [signer = stamped(), n = 0](HttpRequest& request) mutable {
    EXPECT_EQ(request.signer, nullptr);
    if (n++ == 0) request.signer = signer;
  };
  auto sent = with_connection(request("GET", server.url()));
  sent.headers = {{"X-Hook", "1"}};
  ASSERT_TRUE(fetch(std::move(sent)));
  EXPECT_EQ(server.received()[0].headers.count("x-signature"), 1U);
  EXPECT_EQ(server.received()[1].headers.count("x-signature"), 0U);
}

TEST_F(Signing, ThatFailsSendsNothing) {
  ScriptedServer server([](const Received&) { return reply(200); });
  sign_with(stamped());
  EXPECT_EQ(errc(with_connection(request("GET", server.url()))), Errc::invalid);
  EXPECT_THAT(last_message, HasSubstr("the header x-hook that is to be signed is missing"));
  EXPECT_EQ(server.count(), 0U);
}

TEST_F(Signing, MayNotChangeTheHost) {
  class Diverting : public Signer {
   public:
    Result<> sign(Signable& request) const override {
      request.url = "http://127.0.0.2/";
      return {};
    }
  };
  ScriptedServer server([](const Received&) { return reply(200); });
  sign_with(std::make_shared<Diverting>());
  EXPECT_EQ(errc(with_connection(request("GET", server.url()))), Errc::denied);
  EXPECT_EQ(server.count(), 0U);
}

class Echoed : public Signing {
 protected:
  // Sends a request to a server that sends what it saw back where an error would name a host.
  void fetch_echo(const std::function<std::string(const Received&)>& what) {
    ScriptedServer server(
        [&](const Received& request) { return redirect(302, "https://" + what(request) + ".test/"); });
    log_text = logged([&] {
      auto sent = with_connection(request("GET", server.url("/x?plain=value-1")));
      sent.allowed_hosts = std::make_shared<const std::vector<std::string>>(1, "127.0.0.1");
      EXPECT_EQ(errc(std::move(sent)), Errc::denied);
    });
    EXPECT_THAT(last_message, HasSubstr("***"));
  }
  void expect_hidden(const std::string& secret) {
    EXPECT_THAT(last_message, Not(HasSubstr(secret)));
    EXPECT_THAT(log_text, Not(HasSubstr(secret)));
    EXPECT_THAT(metrics::exposition(), Not(HasSubstr(secret)));
  }
  static std::string after(const std::string& text, const std::string& mark) {
    const auto begin = text.find(mark) + mark.size();
    return text.substr(begin, text.find('&', begin) - begin);
  }

  std::string log_text;
};

TEST_F(Echoed, AKeyInTheQueryIsHiddenAsItIsWrittenAndRead) {
  changing.change = [](HttpRequest& request) { request.url += "&api_key=key%2D1234"; };
  fetch_echo([](const Received& request) {
    EXPECT_EQ(request.target, "/x?plain=value-1&api_key=key%2D1234");
    return std::string("key-1234");
  });
  expect_hidden("key-1234");
  expect_hidden("key%2D1234");
  EXPECT_THAT(last_message, HasSubstr("***.test"));
}

TEST_F(Echoed, ATokenInThePathIsHidden) {
  changing.change = [](HttpRequest& request) { request.url.replace(request.url.find("/x"), 2, "/bot-token-12/x"); };
  fetch_echo([](const Received& request) { return request.target.substr(1, 12); });
  expect_hidden("bot-token-12");
}

TEST_F(Echoed, AnHmacIsHidden) {
  changing.change = [signer = stamped()](HttpRequest& request) {
    request.headers.emplace_back("X-Hook", "1");
    request.signer = signer;
  };
  std::string signature;
  fetch_echo([&](const Received& request) { return signature = request.header("x-signature").substr(0, 64); });
  expect_hidden(signature);
}

TEST_F(Echoed, AnAwsSignatureIsHidden) {
  for (const auto place : {AwsSigV4::Place::header, AwsSigV4::Place::query}) {
    sign_with(aws(place));
    std::string signature;
    fetch_echo([&](const Received& request) {
      const auto where = place == AwsSigV4::Place::header ? request.header("authorization") : request.target;
      signature = after(where, "Signature=");
      return "x." + signature.substr(0, 64) + ".akidexample";
    });
    expect_hidden(signature);
    expect_hidden("akidexample");
  }
}

}  // namespace
}  // namespace patchbay::egress::testing
