// `patchbay plugin check` on plugins that each break one rule, with the real program.
#include "kit/check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

namespace patchbay::kit {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kProgram = std::string(PATCHBAY_BUILD_DIRECTORY) + "/bin/patchbay";
const std::string kGraded = std::string(PATCHBAY_BUILD_DIRECTORY) + "/test-plugins/graded/";

std::vector<std::string> failed(const Report& report) {
  std::vector<std::string> lines;
  for (const auto& result : report.results) {
    for (const auto& finding : result.findings) {
      lines.push_back(fmt::format("{}: {}: {}", result.rule->id, finding.where, finding.what));
    }
  }
  return lines;
}

Report checked(const std::string& file, std::chrono::milliseconds limit = std::chrono::milliseconds{20'000}) {
  auto report = check_plugin(kProgram, file, limit);
  EXPECT_TRUE(report) << report.error().message;
  return report.value_or(Report{});
}

struct Fault {
  std::string plugin;
  std::string rule;  // under which it is caught
  std::string what;  // a part of the finding
};
void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.plugin; }

const std::vector<Fault> kFaults{
    {"no_entry", "load", "does not export"},
    {"unlisted_host", "manifest", "other.example.com"},
    {"unknown_scope", "manifest", "'admin'"},
    {"broken_example", "manifest", "params does not take it"},
    {"exports_more", "exports", "faulty_helper"},
    {"imports_socket", "imports", "socket"},
    {"crashes_in_create", "create", "Aborted"},
    {"hangs_in_create", "create", "did not return"},
    {"fails_in_create", "create", "the moon is not full"},
    {"throws", "exceptions", "out of here"},
    {"hangs", "exceptions", "did not return"},
    {"unsupported", "answers", "PBAY_E_UNSUPPORTED"},
    {"never_ends", "contract", "a task ends or waits"},
    {"ends_twice", "contract", "a task ends once"},
    {"slow", "prompt", "a call took"},
    {"leaks", "memory", "bytes are lost"},
    {"leaves_thread", "threads", "more threads"},
    {"opens_file", "descriptors", "more descriptors"},
    {"asks_another_host", "egress", "elsewhere.example.net"},
    {"wrong_output", "outputs", "/id"},
    {"signs_no_body", "verification", "body was changed"},
    {"takes_forgeries", "verification", "forged signature"},
    {"counts_keys", "keys", "the same delivery"},
    {"repeats_events", "cursor", "comes again"},
    {"wrong_status", "statuses", "401"},
    {"ignores_key", "idempotent", "two keys"},
    {"ignores_cancellation", "cancellation", "finish()"},
    {"logs_secret", "secrets", "the log"},
    {"fuzz_crashes", "fuzz", "Aborted"},
    {"empty_delivery", "examples", "makes no event"},
    {"undocumented", "docs", "no title"},
};

class Faults : public testing::TestWithParam<Fault> {};

TEST_P(Faults, IsCaughtUnderItsOwnRule) {
  const auto& [plugin, rule, what] = GetParam();
  const auto limit = std::chrono::milliseconds{plugin.starts_with("hangs") ? 2'000 : 20'000};
  const auto report = checked(kGraded + plugin + ".so", limit);
  const auto lines = failed(report);
  EXPECT_THAT(lines, Contains(testing::AllOf(testing::StartsWith(rule + ": "), HasSubstr(what)))) << testing::PrintToString(lines);
  EXPECT_NE(report.grade, "gold");
}

INSTANTIATE_TEST_SUITE_P(Check, Faults, testing::ValuesIn(kFaults), [](const auto& info) { return info.param.plugin; });

TEST(Check, EveryRuleHasAPluginThatBreaksIt) {
  for (const auto& rule : rules()) {
    EXPECT_TRUE(std::any_of(kFaults.begin(), kFaults.end(), [&](const auto& fault) { return fault.rule == rule.id; })) << rule.id;
    EXPECT_TRUE(rule.needs.empty() || rule_named(rule.needs) != nullptr) << rule.id;
  }
}

TEST(Check, ARuleThatIsNotThereIsNotTried) { EXPECT_FALSE(try_rule(kGraded + "flawless.so", "no such rule")); }

TEST(Check, APluginWithoutFaultIsGold) {
  const auto report = checked(kGraded + "flawless.so");
  EXPECT_THAT(failed(report), IsEmpty());
  EXPECT_EQ(report.grade, "gold");
  EXPECT_EQ(report.id, "faulty");
}

TEST(Check, ShippedPluginsAreGold) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(PATCHBAY_BUILD_DIRECTORY) + "/plugins")) {
    if (entry.path().extension() != ".so") continue;
    const auto report = checked(entry.path());
    EXPECT_THAT(failed(report), IsEmpty()) << entry.path();
    EXPECT_EQ(report.grade, "gold") << entry.path();
    ++count;
  }
  EXPECT_GE(count, 4);
}

TEST(Check, WhatIsNoPluginIsSaidToBeNone) {
  EXPECT_FALSE(check_plugin(kProgram, kGraded + "none.so"));
  const auto report = checked(kProgram);
  EXPECT_EQ(report.grade, "none");
}

}  // namespace
}  // namespace patchbay::kit
