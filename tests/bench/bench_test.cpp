// The parts that measure must themselves be right: payload, signature, generator, sink, matching.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "bench/outcome.hpp"
#include "harness/clock.hpp"
#include "harness/http_scan.hpp"
#include "harness/load.hpp"
#include "harness/payload.hpp"
#include "harness/process.hpp"
#include "harness/scratch.hpp"
#include "harness/signature.hpp"
#include "harness/sink.hpp"

namespace patchbay {
namespace {

using harness::Arrival;
using harness::Sent;

TEST(Payload, HasTheMembersAndTheSizeOfARealOne) {
  const std::filesystem::path real = std::string(PATCHBAY_SOURCE_DIRECTORY) + "/../shared/bench/issues.json";
  if (!std::filesystem::exists(real)) GTEST_SKIP() << "the shared workload is absent";
  const std::string expected = harness::read_file(real);
  const std::string made = harness::issues_payload({.owner = "Codertocat"});
  const auto pointers = [](const std::string& text) {
    std::set<std::string> names;
    const auto flat = nlohmann::json::parse(text).flatten();
    for (const auto& [pointer, value] : flat.items()) names.insert(pointer);
    return names;
  };
  EXPECT_EQ(pointers(made), pointers(expected));
  EXPECT_NEAR(static_cast<double>(made.size()), static_cast<double>(expected.size()), 200);
}

TEST(Payload, CarriesWhatItIsMadeFrom) {
  const auto issue = nlohmann::json::parse(harness::issues_payload(
      {.owner = "o", .repository = "r", .action = "closed", .number = 7, .labels = {"a", "b"}}));
  EXPECT_EQ(issue["repository"]["full_name"], "o/r");
  EXPECT_EQ(issue["action"], "closed");
  EXPECT_EQ(issue["issue"]["number"], 7);
  EXPECT_EQ(issue["issue"]["labels"][1]["name"], "b");
}

TEST(Signer, AgreesWithGithubsDocumentedExample) {
  // docs.github.com, "Validating webhook deliveries", "Testing the webhook payload validation"
  EXPECT_EQ(harness::github_signature("It's a Secret to Everybody", "Hello, World!"),
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
}

TEST(Signer, HashesAKeyThatIsLongerThanABlock) {
  // RFC 4231, test case 6
  EXPECT_EQ(harness::Signer(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key").hex(" - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(ScanMessage, FindsTheEndOfAMessage) {
  EXPECT_FALSE(harness::scan_message("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"));
  const auto reply =
      harness::scan_message("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: close\r\n\r\nokHTTP/1.1");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->length, 59U);
  EXPECT_EQ(reply->status, 200);
  EXPECT_TRUE(reply->close);
  const auto empty = harness::scan_message("HTTP/1.1 204 No Content\r\n\r\n");
  ASSERT_TRUE(empty);
  EXPECT_EQ(empty->length, 27U);
  const auto chunked =
      harness::scan_message("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
  ASSERT_TRUE(chunked);
  EXPECT_EQ(chunked->length, 59U);
  const auto request = harness::scan_message("POST / HTTP/1.1\r\nIdempotency-Key: k1\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->idempotency_key, "k1");
}

TEST(Match, CountsLostDoubledAndRepeated) {
  const std::vector<Sent> sent = {{.id = 1, .sent_ns = 100, .answered_ns = 1'000'100, .status = 200},
                                  {.id = 2, .sent_ns = 100, .answered_ns = 3'000'100, .status = 202},
                                  {.id = 3, .sent_ns = 100, .answered_ns = 200, .status = 503},
                                  {.id = 4, .sent_ns = 100, .answered_ns = 200, .status = 0},
                                  {.id = 5, .sent_ns = 100, .answered_ns = 200, .status = 200}};
  const std::vector<Arrival> arrivals = {{.id = 1, .key_hash = 11, .at_ns = 500'000'100},
                                         {.id = 1, .key_hash = 11, .at_ns = 600'000'000},  // the same attempt again
                                         {.id = 1, .key_hash = 12, .at_ns = 700'000'000},  // another one
                                         {.id = 4, .key_hash = 0, .at_ns = 800'000'000},   // never answered: allowed
                                         {.id = 5, .key_hash = 0, .at_ns = 900'000'000},
                                         {.id = 5, .key_hash = 0, .at_ns = 1'000'000'100},  // no key: cannot be told
                                         {.id = 99, .key_hash = 0, .at_ns = 2'000'000'000}};
  const auto outcome = bench::match(sent, arrivals, 100);
  EXPECT_EQ(outcome.accepted, 3U);
  EXPECT_EQ(outcome.refused, 1U);
  EXPECT_EQ(outcome.unanswered, 1U);
  EXPECT_EQ(outcome.arrived, 3U);
  EXPECT_EQ(outcome.lost, 1U);  // 2
  EXPECT_EQ(outcome.doubled, 2U);
  EXPECT_EQ(outcome.repeated, 1U);
  EXPECT_DOUBLE_EQ(outcome.reactions_per_s, 3);
  EXPECT_DOUBLE_EQ(outcome.response_ms.most, 3);
  EXPECT_DOUBLE_EQ(outcome.end_to_end_ms.p50, 799.9999);
}

TEST(Percentiles, AreNearestRanks) {
  std::vector<std::uint64_t> durations;
  for (std::uint64_t i = 1; i <= 100; ++i) durations.push_back(i * 1'000'000);
  const auto percentiles = bench::percentiles_ms(durations);
  EXPECT_DOUBLE_EQ(percentiles.p50, 50);
  EXPECT_DOUBLE_EQ(percentiles.p99, 99);
  EXPECT_DOUBLE_EQ(percentiles.most, 100);
  EXPECT_DOUBLE_EQ(bench::percentiles_ms({}).p99, 0);
}

TEST(Load, ReachesTheSinkWithEachNumberOnce) {
  harness::Sink sink;
  harness::Load load({.target = {.port = sink.port(), .path = "/hooks/x", .secret = "s"},
                      .body = harness::issues_payload({}),
                      .concurrency = 8,
                      .count = 500,
                      .first_id = 1000});
  const auto began_ns = load.began_ns();
  const auto sent = load.finish();
  const auto outcome = bench::match(sent, sink.arrivals(), began_ns);
  EXPECT_EQ(outcome.issued, 500U);
  EXPECT_EQ(outcome.accepted, 500U);
  EXPECT_EQ(outcome.arrived, 500U);
  EXPECT_EQ(outcome.lost + outcome.doubled + outcome.repeated, 0U);
}

TEST(Load, GivesUpWithoutAServer) {
  harness::Load load({.target = {.port = harness::free_port(), .path = "/", .secret = "s"},
                      .body = harness::bench_id(0),
                      .concurrency = 2,
                      .patience_seconds = 0.05});
  EXPECT_TRUE(load.finish().empty());
}

TEST(Process, CountsTheTimeOfItsChildren) {
  harness::Process shell(
      {.program = "/bin/sh",
       .arguments = {"-c", "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; echo done; exec sleep 1000"},
       .read_output = true});
  ASSERT_EQ(shell.read_line(std::chrono::seconds(50)), "done");
  EXPECT_GE(shell.cpu_seconds(), 0.01);
  EXPECT_GT(shell.resident_mb(), 0);
}

TEST(Process, TellsTheExitCode) {
  const auto finished = harness::run({.program = "/bin/sh", .arguments = {"-c", "echo one; echo two; exit 3"}});
  EXPECT_EQ(finished.exit_code, 3);
  EXPECT_EQ(finished.output, "one\ntwo\n");
}

}  // namespace
}  // namespace patchbay
