#include <gmock/gmock.h>

#include "gateway_fixture.hpp"

namespace patchbay::gateway {
namespace {

using namespace std::string_literals;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kHead = "POST /hooks/tok HTTP/1.1\r\nHost: h\r\n";

std::string post(std::string_view body) {
  return kHead + "Content-Length: "s + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}
std::string repeat(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}
std::string get(std::string_view path) { return "GET " + std::string(path) + " HTTP/1.1\r\nHost: h\r\n\r\n"; }

// What a client sends, piece by piece, and what must come of it.
struct Case {
  std::string name;
  std::vector<std::string> pieces;
  std::vector<int> statuses;
  bool closes = false;
  std::vector<std::string> bodies = {};  // of the deliveries that reach the host
};
void PrintTo(const Case& line, std::ostream* out) { *out << line.name; }

class Table : public GatewayTest, public ::testing::WithParamInterface<Case> {};

TEST_P(Table, Line) {
  GatewaySettings settings;
  settings.body_limit_bytes = 1 << 20;
  settings.header_timeout = settings.body_timeout = settings.idle_timeout = std::chrono::milliseconds{300};
  start(settings);
  auto peer = client();
  peer->head_only = GetParam().name == "Head" || GetParam().name.starts_with("AfterAHead");
  for (const auto& piece : GetParam().pieces) peer->send(piece);
  peer->receive(GetParam().statuses.size());
  EXPECT_EQ(peer->statuses(), GetParam().statuses) << peer->received();
  if (GetParam().closes) {
    EXPECT_TRUE(peer->closed());
  }
  std::vector<std::string> bodies;
  for (const auto& hook : backend_.hooks) bodies.push_back(hook.body);
  EXPECT_EQ(bodies, GetParam().bodies);
}

INSTANTIATE_TEST_SUITE_P(
    Requests, Table,
    ::testing::Values(
        Case{"Post", {post("{}")}, {204}, false, {"{}"}},
        Case{"Empty", {kHead + "Content-Length: 0\r\n\r\n"s}, {204}, false, {""}},
        Case{"ByteByByte",
             [] {
               std::vector<std::string> all;
               for (char c : post("{}")) all.push_back(std::string(1, c));
               return all;
             }(),
             {204},
             false,
             {"{}"}},
        Case{"Chunked", {kHead + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"s}, {204}, false, {"{}"}},
        Case{"ChunkedEmptyInPieces",
             {kHead + "Transfer-Encoding: chunked\r\n\r\n0\r\n"s, "\r", "\n"},
             {204},
             false,
             {""}},
        Case{"ChunkSplitInsideItsCrlf",
             {kHead + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r"s, "\n0\r\n\r\n"},
             {204},
             false,
             {"{}"}},
        Case{"ChunkSplitInsideItsSize",
             {kHead + "Transfer-Encoding: chunked\r\n\r\n1"s, "0\r\n0123456789abcdef\r\n0\r", "\n\r\n"},
             {204},
             false,
             {"0123456789abcdef"}},
        Case{"ChunkExtension",
             {kHead + "Transfer-Encoding: chunked\r\n\r\n2;name=value;other=\"x y\"\r\n{}\r\n0\r\n\r\n"s},
             {204},
             false,
             {"{}"}},
        Case{"ChunkTrailer",
             {kHead + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-After: 1\r\n\r\n"s},
             {204},
             false,
             {"{}"}},
        Case{"TrailerThatFrames",
             {kHead + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nContent-Length: 7\r\n\r\n"s},
             {400},
             true},
        Case{"EndlessTrailer",
             {kHead + "Transfer-Encoding: chunked\r\n\r\n0\r\n"s + repeat("A: b\r\n", 6000)},
             {431},
             true},
        Case{"ManyLongChunkExtensions",
             {kHead + "Transfer-Encoding: chunked\r\n\r\n"s +
              repeat("1;" + std::string(8 << 10, 'e') + "\r\nx\r\n", 3) + "0\r\n\r\n"},
             {431},
             true},
        Case{"ChunkWithoutItsCrlf", {kHead + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n"s}, {400}, true},
        Case{"ChunkSizeNegative", {kHead + "Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n"s}, {400}, true},
        Case{"ChunkSizeHex", {kHead + "Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n"s}, {400}, true},
        Case{"EndlessChunkExtension",
             {kHead + "Transfer-Encoding: chunked\r\n\r\n2;"s + std::string(40'000, 'e')},
             {431},
             true},
        Case{"ChunkSizeNoNumber", {kHead + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"s}, {400}, true},
        Case{"ChunkSizeOverflow",
             {kHead + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n"s},
             {400},
             true},
        Case{"ChunkedOverTheLimit",
             {kHead + "Transfer-Encoding: chunked\r\n\r\n200000\r\n"s + std::string(0x200000, 'x')},
             {413},
             true},
        Case{"LengthHuge", {kHead + "Content-Length: 99999999999\r\n\r\n"s}, {413}, true},
        Case{"LengthOverflow", {kHead + "Content-Length: 99999999999999999999999\r\n\r\n"s}, {400}, true},
        Case{"LengthNegative", {kHead + "Content-Length: -1\r\n\r\n"s}, {400}, true},
        Case{"LengthPlus", {kHead + "Content-Length: +2\r\n\r\n{}"s}, {400}, true},
        Case{"LengthList", {kHead + "Content-Length: 2, 2\r\n\r\n{}"s}, {400}, true},
        Case{"LengthEmpty", {kHead + "Content-Length:\r\n\r\n{}"s}, {400}, true},
        Case{"LengthOfChunkedAfter",
             {kHead + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n"s},
             {400},
             true},
        Case{"ChunkedTwice",
             {kHead + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"s},
             {400},
             true},
        Case{"ChunkedInHttp10",
             {"POST /hooks/tok HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
             {400},
             true},
        Case{"LengthNoNumber", {kHead + "Content-Length: 2x\r\n\r\n{}"s}, {400}, true},
        Case{"LengthDouble", {kHead + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"s}, {400}, true},
        Case{"LengthDoubleAndEqual", {kHead + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"s}, {400}, true},
        Case{"LengthAndChunked",
             {kHead + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"s},
             {400},
             true},
        Case{"UnknownCoding", {kHead + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"s}, {501}, true},
        Case{"CodingThatIsNoChunked", {kHead + "Transfer-Encoding: identity\r\n\r\n"s}, {501}, true},
        Case{"Pipelined", {post("1") + post("2") + get("/livez")}, {204, 204, 200}, false, {"1", "2"}},
        Case{"PipelinedAndSplit",
             {post("1") + post("2").substr(0, 20), post("2").substr(20)},
             {204, 204},
             false,
             {"1", "2"}},
        Case{"TwentyKilobytesOfHeaders",
             {"GET /livez HTTP/1.1\r\nHost: h\r\nX-A: " + std::string(20 << 10, 'a') + "\r\n\r\n"},
             {431},
             true},
        Case{"LongTarget", {"GET /" + std::string(20 << 10, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n"}, {414}, true},
        Case{"EndlessTarget", {"GET /" + std::string(20 << 10, 'a')}, {414}, true},
        Case{"TooManyHeaders", {"GET /livez HTTP/1.1\r\nHost: h\r\n" + repeat("a: b\r\n", 200) + "\r\n"}, {431}, true},
        Case{"SlowHead", {"GET /livez HTTP/1.1\r\nHo"}, {408}, true},
        Case{"SlowBody", {kHead + "Content-Length: 10\r\n\r\n123"s}, {408}, true},
        Case{"SilentFromTheStart", {}, {}, true}, Case{"IdleAfterAnAnswer", {get("/livez")}, {200}, true},
        Case{"Junk", {"\x16\x03\x01 hello\r\n\r\n"}, {400}, true},
        Case{"NulInTheHead", {"GET /livez HTTP/1.1\r\nHost: a\0b\r\n\r\n"s}, {400}, true},
        Case{"NulInTheTarget", {"GET /li\0vez HTTP/1.1\r\nHost: h\r\n\r\n"s}, {400}, true},
        Case{"BareLineFeed", {"GET /livez HTTP/1.1\nHost: h\n\n"}, {400}, true},
        Case{"BareLineFeedInTheHeaders", {"GET /livez HTTP/1.1\r\nHost: h\nX: y\r\n\r\n"}, {400}, true},
        Case{"BareCarriageReturn", {"GET /livez HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n"}, {400}, true},
        Case{"FoldedLine", {"GET /livez HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n"}, {400}, true},
        Case{"FoldedLength", {kHead + "Content-Length:\r\n 2\r\n\r\n{}"s}, {400}, true},
        Case{"SpaceBeforeTheFirstHeader", {"GET /livez HTTP/1.1\r\n Host: h\r\n\r\n"}, {400}, true},
        Case{"EmptyLinesBefore", {"\r\n", "\r\n" + post("{}")}, {204}, false, {"{}"}},
        Case{"NulAtOnce", {"\0\0\0\0\r\n"s}, {400}, true},
        Case{"BadHeaderName", {"GET /livez HTTP/1.1\r\nHost: h\r\nX(y): a\r\n\r\n"}, {400}, true},
        Case{"NoColon", {"GET /livez HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n"}, {400}, true},
        Case{"SpaceBeforeTheColon", {"GET /livez HTTP/1.1\r\nHost : h\r\n\r\n"}, {400}, true},
        Case{"BadEscape", {get("/api/%zz")}, {400}, true}, Case{"CutEscape", {get("/api/%4")}, {400}, true},
        Case{"EscapedNul", {get("/api/%00")}, {400}, true}, Case{"Upwards", {get("/api/../livez")}, {400}, true},
        Case{"EscapedUpwards", {get("/api/%2e%2e/livez")}, {400}, true},
        Case{"UnknownMethod", {"BREW /livez HTTP/1.1\r\nHost: h\r\n\r\n"}, {501}, true},
        Case{"MethodInLowerCase", {"get /livez HTTP/1.1\r\nHost: h\r\n\r\n"}, {501}, true},
        Case{"Connect", {"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n"}, {400}, true},
        Case{"TraceOfTheApi", {"TRACE /api/v1/flows HTTP/1.1\r\nHost: h\r\n\r\n"}, {405}},
        Case{"DeleteOfAHook", {"DELETE /hooks/tok HTTP/1.1\r\nHost: h\r\n\r\n"}, {405}},
        Case{"HandshakeOfAHook", {get("/hooks/tok?challenge=1")}, {204}, false, {""}},
        Case{"BodyWhereNoneBelongs", {"POST /livez HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"}, {405}, true},
        Case{"BodyForNobody", {"POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"}, {404}, true},
        Case{"WrongMethod", {"DELETE /livez HTTP/1.1\r\nHost: h\r\n\r\n"}, {405}},
        Case{"Head", {"HEAD /livez HTTP/1.1\r\nHost: h\r\n\r\n"}, {200}},
        Case{"OptionsStar", {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"}, {204}},
        Case{"AbsoluteForm", {get("http://h/livez")}, {200}}, Case{"NothingThere", {get("/nowhere")}, {404}},
        Case{"NoHost", {"GET /livez HTTP/1.1\r\n\r\n"}, {400}, true},
        Case{"TwoHosts", {"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"}, {400}, true},
        Case{"Http10", {"GET /livez HTTP/1.0\r\n\r\n"}, {200}, true},
        Case{"Http10KeepAlive", {"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"s, get("/livez")}, {200, 200}},
        Case{"VersionMalformed", {"GET /livez HTTP/1.x\r\nHost: h\r\n\r\n"}, {400}, true},
        Case{"NoVersion", {"GET /livez\r\n\r\n"}, {400}, true},
        Case{"PrefaceOfHttp2", {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}, {505}, true},
        Case{"AfterAHeadRequestAnErrorHasABody",
             {"HEAD /livez HTTP/1.1\r\nHost: h\r\n\r\n", "junk\r\n\r\n"},
             {200, 400},
             true},
        Case{"Http20", {"GET /livez HTTP/2.0\r\nHost: h\r\n\r\n"}, {505}, true},
        Case{"ConnectionClose", {"GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"}, {200}, true},
        Case{"Continue",
             {kHead + "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"s, "{}"},
             {100, 204},
             false,
             {"{}"}},
        Case{"ContinueIsNotSaidWhenTheBodyIsThere",
             {kHead + "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n{}"s},
             {204},
             false,
             {"{}"}},
        Case{"ContinueIsNotSaidBeforeARefusal",
             {kHead + "Content-Length: 9999999\r\nExpect: 100-continue\r\n\r\n"s},
             {413},
             true},
        Case{"OtherExpectation", {kHead + "Content-Length: 2\r\nExpect: magic\r\n\r\n"s}, {417}, true}),
    [](const auto& info) { return info.param.name; });

TEST_F(GatewayTest, ADeliveryArrivesWhole) {
  start();
  auto peer = client();
  peer->send(
      "POST /hooks/abc_DEF-1?x=1&y HTTP/1.1\r\nHost: h\r\nX-GitHub-Event: issues\r\nContent-Length: 2\r\n\r\n{}");
  peer->receive();
  ASSERT_EQ(backend_.hooks.size(), 1U);
  const auto& hook = backend_.hooks[0];
  EXPECT_EQ(hook.token, "abc_DEF-1");
  EXPECT_EQ(hook.query, "x=1&y");
  EXPECT_EQ(hook.client, "127.0.0.1");
  EXPECT_THAT(hook.headers, ::testing::Contains(::testing::Pair("x-github-event", "issues")));
}

TEST_F(GatewayTest, TheAnswerWaitsForTheHost) {
  start();
  backend_.hold = true;
  auto peer = client();
  peer->send(post("{}"));
  EXPECT_TRUE(peer->statuses().empty());
  ASSERT_EQ(backend_.held.size(), 1U);
  backend_.held[0]({503, "application/problem+json", "{}", 7});
  EXPECT_THAT(peer->receive(), HasSubstr("Retry-After: 7\r\n"));
}

TEST_F(GatewayTest, RequestIdsComeBack) {
  start();
  auto peer = client();
  peer->send("GET /livez HTTP/1.1\r\nHost: h\r\nX-Request-Id: my-id.1\r\n\r\n");
  EXPECT_THAT(peer->receive(), HasSubstr("X-Request-Id: my-id.1\r\n"));
  peer->send("GET /nowhere HTTP/1.1\r\nHost: h\r\nX-Request-Id: not { allowed\r\n\r\n");
  EXPECT_THAT(peer->receive(2), Not(HasSubstr("not { allowed")));
  EXPECT_THAT(peer->received(), HasSubstr("\"code\":\"not_found\",\"request_id\":\""));
}

TEST_F(GatewayTest, ReadinessSaysWhyNot) {
  start();
  backend_.not_ready = "stopping";
  auto peer = client();
  peer->send(get("/readyz"));
  EXPECT_THAT(peer->receive(), ::testing::AllOf(HasSubstr("503"), HasSubstr("stopping"), HasSubstr("Retry-After")));
}

TEST_F(GatewayTest, ForwardedForCountsOnlyFromTrustedProxies) {
  GatewaySettings settings;
  settings.trusted_proxies = {"127.0.0.0/8", "10.0.0.0/8"};
  start(settings);
  auto peer = client();
  peer->send("GET /about.json HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.1.1.1\r\n\r\n");
  EXPECT_THAT(peer->receive(), HasSubstr(R"({"client":"192.0.2.7"})"));

  start();
  auto stranger = client();
  stranger->send("GET /about.json HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
  EXPECT_THAT(stranger->receive(), HasSubstr(R"({"client":"127.0.0.1"})"));
}

// A proxy may add a line of its own below the client's: the last counts, whatever stands in the first.
TEST_F(GatewayTest, ForwardedForIsReadFromItsLastLine) {
  GatewaySettings settings;
  settings.trusted_proxies = {"127.0.0.0/8"};
  start(settings);
  auto peer = client();
  peer->send("GET /about.json HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
  EXPECT_THAT(peer->receive(), HasSubstr(R"({"client":"192.0.2.7"})"));
  auto other = client();
  other->send("GET /about.json HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 6.6.6.6, <script>\r\n\r\n");
  EXPECT_THAT(other->receive(), HasSubstr(R"({"client":"127.0.0.1"})"));
}

TEST_F(GatewayTest, AClientThatNeverReadsHoldsUpNobody) {
  GatewaySettings settings;
  settings.write_timeout = std::chrono::milliseconds{300};
  start(settings);
  backend_.large = true;
  auto lazy = client();
  lazy->send(get("/metrics"));
  backend_.large = false;
  for (int i = 0; i < 20; ++i) {
    auto peer = client();
    peer->send(get("/livez"));
    peer->receive();
    EXPECT_EQ(peer->statuses(), std::vector{200});
  }
  EXPECT_TRUE(loop_.run_until([&] { return lazy->reset_by_peer(); }, std::chrono::seconds{5}));
}

TEST_F(GatewayTest, TwoThousandIdleConnectionsHoldUpNobody) {
  start();
  std::vector<std::unique_ptr<Client>> idle;
  for (int i = 0; i < 2000; ++i) {
    idle.push_back(client());
    ASSERT_TRUE(idle.back()->connected()) << i;
    if (i % 100 == 0) loop_.run_ready();
  }
  loop_.run_ready();
  auto peer = client();
  for (int i = 0; i < 50; ++i) peer->send(post("{}"));
  peer->receive(50);
  EXPECT_EQ(backend_.hooks.size(), 50U);
}

TEST_F(GatewayTest, ConnectionsOverTheLimitAreTurnedAway) {
  GatewaySettings settings;
  settings.connections = 2;
  start(settings);
  auto first = client();
  auto second = client();
  loop_.run_ready();
  auto third = client();
  third->receive();
  EXPECT_EQ(third->statuses(), std::vector{503});
  first->close();
  loop_.run_ready();
  auto fourth = client();
  fourth->send(get("/livez"));
  fourth->receive();
  EXPECT_EQ(fourth->statuses(), std::vector{200});
}

TEST_F(GatewayTest, BodiesOverTheSharedLimitAreRefused) {
  GatewaySettings settings;
  settings.buffered_bytes = 1000;
  start(settings);
  auto slow = client();
  slow->send(kHead + "Content-Length: 800\r\n\r\n"s + std::string(790, 'x'));
  auto peer = client();
  peer->send(post(std::string(500, 'x')));
  peer->receive();
  EXPECT_EQ(peer->statuses(), std::vector{503});
  slow->close();
  loop_.run_ready();
  auto again = client();
  again->send(post(std::string(500, 'x')));
  again->receive();
  EXPECT_EQ(again->statuses(), std::vector{204});
}

TEST_F(GatewayTest, ALengthThatIsOnlyAnnouncedHoldsNoMemory) {
  GatewaySettings settings;
  settings.buffered_bytes = 1000;
  start(settings);
  auto liar = client();
  liar->send(kHead + "Content-Length: 1000000\r\n\r\n"s);
  auto peer = client();
  peer->send(post(std::string(500, 'x')));
  peer->receive();
  EXPECT_EQ(peer->statuses(), std::vector{204});
}

TEST_F(GatewayTest, ChunksCountTowardsTheSharedLimit) {
  GatewaySettings settings;
  settings.buffered_bytes = 1000;
  start(settings);
  auto peer = client();
  peer->send(kHead + "Transfer-Encoding: chunked\r\n\r\n"s + repeat("a\r\n0123456789\r\n", 200));
  peer->receive();
  EXPECT_EQ(peer->statuses(), std::vector{503});
  EXPECT_TRUE(backend_.hooks.empty());
}

TEST_F(GatewayTest, AnAddressHasItsOwnLimit) {
  GatewaySettings settings;
  settings.connections_per_address = 1;
  start(settings);
  auto first = client();
  first->send(get("/livez"));
  auto second = client();
  second->receive();
  EXPECT_EQ(second->statuses(), std::vector{503});
  first->close();
  loop_.run_ready();
  auto third = client();
  third->send(get("/livez"));
  third->receive();
  EXPECT_EQ(third->statuses(), std::vector{200});
}

// A signature in a trailer would otherwise pass for one in the head.
TEST_F(GatewayTest, ATrailerIsNoHeader) {
  start();
  auto peer = client();
  peer->send(kHead + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Signature: forged\r\n\r\n"s);
  peer->receive();
  ASSERT_EQ(backend_.hooks.size(), 1U);
  for (const auto& [name, value] : backend_.hooks[0].headers) EXPECT_NE(name, "x-signature") << value;
}

TEST_F(GatewayTest, AnAnswerOfAPluginCannotBreakTheMessage) {
  start();
  backend_.hold = true;
  auto peer = client();
  peer->send(post("{}"));
  ASSERT_EQ(backend_.held.size(), 1U);
  backend_.held[0]({7, "text/plain\r\nX-Forged: 1", "hello", 0});
  EXPECT_THAT(peer->receive(),
              ::testing::AllOf(HasSubstr("HTTP/1.1 500"), Not(HasSubstr("X-Forged")), HasSubstr("hello")));
}

TEST_F(GatewayTest, ADrainAnswersWhatIsUnderWayAndTakesNothingNew) {
  start();
  backend_.hold = true;
  auto busy = client();
  busy->send(post("{}"));
  auto idle = client();
  idle->send(get("/livez"));
  idle->receive();
  bool drained = false;
  gateway_->drain(std::chrono::seconds{5}, [&] { drained = true; });
  EXPECT_TRUE(idle->closed());
  EXPECT_FALSE(drained);
  backend_.held[0]({204, "", "", 0});
  EXPECT_THAT(busy->receive(), HasSubstr("Connection: close"));
  busy->close();
  EXPECT_TRUE(loop_.run_until([&] { return drained; }, std::chrono::seconds{5}));
  EXPECT_FALSE(client()->connected());
}

TEST_F(GatewayTest, ADestroyedGatewayLeavesNothingBehind) {
  start();
  backend_.hold = true;
  auto peer = client();
  peer->send(post("{}"));
  gateway_.reset();
  backend_.held[0]({204, "", "", 0});
  EXPECT_TRUE(peer->closed());
}

}  // namespace
}  // namespace patchbay::gateway
