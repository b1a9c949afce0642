#include "flow/flow.hpp"

#include <fstream>
#include <map>
#include <sstream>

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace patchbay::flow {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class FixedCatalogue final : public Catalogue {
 public:
  [[nodiscard]] std::optional<OperationSchema> trigger(std::string_view name) const override {
    return find(triggers_, name);
  }
  [[nodiscard]] std::optional<OperationSchema> reaction(std::string_view name) const override {
    return find(reactions_, name);
  }
  [[nodiscard]] std::vector<std::string> trigger_names() const override { return names(triggers_); }
  [[nodiscard]] std::vector<std::string> reaction_names() const override { return names(reactions_); }
  [[nodiscard]] bool needs_connection(std::string_view provider) const override { return provider != "timer"; }

 private:
  using Table = std::map<std::string, std::string, std::less<>>;
  static std::optional<OperationSchema> find(const Table& table, std::string_view name) {
    const auto found = table.find(name);
    if (found == table.end()) return std::nullopt;
    return OperationSchema{found->second, "{}"};
  }
  static std::vector<std::string> names(const Table& table) {
    std::vector<std::string> all;
    for (const auto& [name, schema] : table) all.push_back(name);
    return all;
  }

  Table triggers_{
      {"github.issues", R"({"type": "object", "additionalProperties": false, "required": ["owner", "repo"],
        "properties": {"owner": {"type": "string", "minLength": 1}, "repo": {"type": "string"},
          "actions": {"type": "array", "items": {"enum": ["opened", "closed"]}}}})"},
      {"timer.every", R"({"type": "object", "properties": {"seconds": {"type": "integer", "minimum": 1}}})"},
      {"timer.at", R"({"type": "object", "properties": {"time": {"type": "string", "format": "date-time"}}})"}};
  Table reactions_{{"discord.send_channel_message",
                    R"({"type": "object", "additionalProperties": false, "required": ["channel_id", "content"],
        "properties": {"channel_id": {"type": "string", "pattern": "^[0-9]+$"},
          "content": {"type": "string", "maxLength": 20}, "tts": {"type": "boolean"},
          "embeds": {"type": "array", "items": {"type": "object", "properties": {"color": {"type": "integer"}}}},
          "target": {"oneOf": [{"type": "string", "pattern": "^#"}, {"type": "object", "required": ["id"]}]}}})"},
                   {"odd.broken", R"({"type": 7})"},
                   {"timer.wait", "{}"}};
};

// "pointer code", and the message besides where `messages`.
std::vector<std::string> problems_of(std::string_view json, bool messages = false) {
  const auto compiled = compile(json, FixedCatalogue{});
  std::vector<std::string> told;
  if (compiled) return told;
  for (const auto& [pointer, code, message] : compiled.error()) {
    EXPECT_FALSE(message.empty());
    told.push_back(messages ? message : pointer + " " + code);
  }
  return told;
}

constexpr std::string_view kOpened =
    R"({"id": "opened", "trigger": "github.issues", "connection": "octo", "params": {"owner": "o", "repo": "r"}})";

// A flow that begins with kOpened; the first of `nodes` is /nodes/1.
std::string flow_of(std::string_view nodes) {
  return fmt::format(R"({{"name": "n", "nodes": [{}{}{}]}})", kOpened, nodes.empty() ? "" : ", ", nodes);
}

std::string tell(std::string_view params, std::string_view more = R"("after": ["opened"])") {
  return fmt::format(R"({{"id": "tell", "reaction": "discord.send_channel_message", "connection": "team", {},
                         "params": {}}})",
                     more, params);
}
std::string wait(std::string_view id, std::string_view after) {
  return fmt::format(R"({{"id": "{}", "reaction": "timer.wait", "after": [{}]}})", id, after);
}

constexpr std::string_view kDemo = R"({"name": "Tell the team about new issues",
 "description": "", "ui": {"zoom": 1},
 "nodes": [
  {"id": "opened", "trigger": "github.issues", "connection": "octo",
   "params": {"owner": "octo", "repo": "hello", "actions": ["opened"]}},
  {"id": "urgent", "if": "{{ 'urgent' in opened.issue.labels.name }}", "after": ["opened"]},
  {"id": "tell", "reaction": "discord.send_channel_message", "connection": "team", "after": ["urgent:true"],
   "params": {"channel_id": "123", "content": "{{ opened.sender.login }} opened {{ opened.issue.title }}"},
   "retry": {"attempts": 3, "first_ms": 10, "longest_ms": 20}, "timeout_ms": 5000, "on_error": "continue",
   "ui": {"x": 1}}]})";

TEST(Flow, TheDemoCompiles) {
  const auto flow = compile(kDemo, FixedCatalogue{});
  ASSERT_TRUE(flow) << flow.error()[0].pointer << " " << flow.error()[0].message;
  EXPECT_EQ((*flow)->name, "Tell the team about new issues");
  EXPECT_THAT((*flow)->names, ElementsAre("opened", "urgent", "tell"));
  const auto& tell = *(*flow)->find("tell");
  EXPECT_EQ(tell.kind, NodeKind::reaction);
  EXPECT_EQ(tell.operation, "discord.send_channel_message");
  EXPECT_EQ(tell.connection, "team");
  ASSERT_EQ(tell.after.size(), 1U);
  EXPECT_EQ(tell.after[0].node, 1U);
  EXPECT_EQ(tell.after[0].port, "true");
  EXPECT_EQ(tell.retry.attempts, 3);
  EXPECT_EQ(tell.retry.longest.count(), 20);
  EXPECT_EQ(tell.timeout.count(), 5000);
  EXPECT_EQ(tell.on_error, OnError::next);
  EXPECT_EQ((*flow)->find("opened")->params_json, R"({"owner":"octo","repo":"hello","actions":["opened"]})");
  EXPECT_EQ((*flow)->find("nobody"), nullptr);

  const auto event = JsonDocument::parse(R"({"sender": {"login": "octo"}, "issue": {"title": "It \"broke\"",
                                             "labels": [{"name": "bug"}, {"name": "urgent"}]}})")
                         .value();
  const std::vector<JsonView> outputs{event->root(), {}, {}};
  const Scope scope{(*flow)->names, outputs};
  EXPECT_EQ((*flow)->find("urgent")->condition->test(scope), true);
  std::string params;
  ASSERT_TRUE(tell.params.render(scope, params));
  EXPECT_EQ(params, R"({"channel_id":"123","content":"octo opened It \"broke\""})");
}

TEST(Flow, TheShippedExampleCompiles) {
  std::ifstream in(PATCHBAY_SOURCE_DIRECTORY "/config/flows/urgent-issue-to-discord.json");
  std::ostringstream text;
  text << in.rdbuf();
  const auto told = problems_of(text.str());
  EXPECT_THAT(told, IsEmpty());
}

TEST(Flow, NodesStandBehindWhatTheyComeAfter) {
  const auto flow = compile(R"({"name": "n", "nodes": [)" + wait("c", R"("a", "b")") + "," + wait("a", R"("t")") + "," +
                                wait("b", R"("a:done")") + R"(, {"id": "t", "trigger": "timer.every"}]})",
                            FixedCatalogue{});
  ASSERT_TRUE(flow);
  EXPECT_THAT((*flow)->names, ElementsAre("t", "a", "b", "c"));
  EXPECT_EQ((*flow)->find("c")->after[0].node, 1U);
  EXPECT_EQ((*flow)->find("c")->after[1].node, 2U);
  EXPECT_EQ((*flow)->find("b")->after[0].port, "");
  EXPECT_EQ((*flow)->nodes[0].params_json, "{}");
}

struct Case {
  std::string json;
  std::vector<std::string> problems;
};
void PrintTo(const Case& tested, std::ostream* out) { *out << tested.json; }

class FlowProblem : public ::testing::TestWithParam<Case> {};

TEST_P(FlowProblem, IsToldWithPlaceAndCode) {
  EXPECT_THAT(problems_of(GetParam().json), ::testing::UnorderedElementsAreArray(GetParam().problems));
}

const std::vector<Case> kForm{
    {flow_of(""), {}},
    {"{", {" json"}},
    {"[]", {" type"}},
    {"{}", {" missing", " missing"}},
    {R"({"name": "", "nodes": []})", {"/name value", "/nodes value"}},
    {R"({"name": " ", "nodes": {}})", {"/name value", "/nodes type"}},
    {R"({"name": 1, "nodes": [1], "description": 2, "ui": 3})",
     {"/name type", "/nodes/0 type", "/description type", "/ui type"}},
    {R"({"name": ")" + std::string(201, 'x') + R"(", "nodes": [)" + std::string(kOpened) + "]}", {"/name limit"}},
    {R"({"nam": "", "name": "n", "name": "m", "nodes": [)" + std::string(kOpened) + "]}",
     {"/nam unknown_member", "/name duplicate_member"}},
    {flow_of(R"({"id": "x"})"), {"/nodes/1 missing"}},
    {flow_of(R"({"id": "x", "if": "{{ 1 }}", "reaction": "timer.wait", "after": ["opened"]})"), {"/nodes/1 ambiguous"}},
    {flow_of(R"({"if": "{{ 1 }}", "after": ["opened"]})"), {"/nodes/1 missing"}},
    {flow_of(R"({"id": "1x", "if": "{{ 1 }}", "after": ["opened"]})"), {"/nodes/1/id invalid_id"}},
    {flow_of(wait("opened", R"("opened")")), {"/nodes/1/id duplicate_id"}},
    {flow_of(R"({"id": "x", "if": true, "after": ["opened"]})"), {"/nodes/1/if type"}},
    {flow_of(R"({"id": "x", "if": "yes", "after": ["opened"]})"), {"/nodes/1/if expression"}},
    {flow_of(R"({"id": "x", "if": "{{ 1 ", "after": ["opened"]})"), {"/nodes/1/if expression"}},
    {flow_of(R"({"id": "x", "if": "{{ $upercase(1) }}", "after": ["opened"]})"), {"/nodes/1/if expression"}},
    {flow_of(R"({"id": "x", "if": "{{ 1 }}", "after": ["opened"], "retry": {}, "params": {}})"),
     {"/nodes/1/retry unknown_member", "/nodes/1/params unknown_member"}},
    {flow_of(R"({"id": "x", "reaction": "timer.wait", "after": ["opened"], "timeout_ms": 0, "on_error": "go",
                 "retry": {"attempts": 1.5, "first_ms": 9, "longest_ms": 8, "x": 1}, "ui": [], "params": []})"),
     {"/nodes/1/timeout_ms value", "/nodes/1/on_error value", "/nodes/1/retry/attempts type",
      "/nodes/1/retry/longest_ms value", "/nodes/1/retry/x unknown_member", "/nodes/1/ui type",
      "/nodes/1/params type"}},
};
const std::vector<Case> kGraph{
    {flow_of(R"({"id": "x", "reaction": "timer.wait"})"), {"/nodes/1 missing_after"}},
    {flow_of(wait("x", "")), {"/nodes/1/after missing_after"}},
    {flow_of(R"({"id": "x", "reaction": "timer.wait", "after": "opened"})"), {"/nodes/1/after type"}},
    {flow_of(wait("x", "1")), {"/nodes/1/after/0 type"}},
    {flow_of(wait("x", R"("opened", "opened")")), {"/nodes/1/after/1 duplicate_edge"}},
    {flow_of(R"({"id": "t", "trigger": "timer.every", "after": ["opened"]})"), {"/nodes/1/after after_trigger"}},
    {flow_of(wait("x", R"("opend")")), {"/nodes/1/after/0 unknown_node"}},
    {flow_of(wait("x", R"("opened:error")")), {"/nodes/1/after/0 unknown_port"}},
    {flow_of(wait("x", R"("opened")") + "," + wait("y", R"("x:error")")), {"/nodes/2/after/0 unknown_port"}},
    {flow_of(R"({"id": "x", "reaction": "timer.wait", "after": ["opened"], "on_error": "port"},)" +
             wait("y", R"("x:error")") + "," + wait("z", R"("x")")),
     {}},
    {flow_of(R"({"id": "c", "if": "{{ 1 }}", "after": ["opened"]},)" + wait("y", R"("c")")),
     {"/nodes/2/after/0 unknown_port"}},
    {flow_of(R"({"id": "c", "if": "{{ 1 }}", "after": ["opened"]},)" + wait("y", R"("c:yes")")),
     {"/nodes/2/after/0 unknown_port"}},
    {flow_of(R"({"id": "c", "if": "{{ 1 }}", "after": ["opened"]},)" + wait("y", R"("c:true", "c:false")")), {}},
    {flow_of(wait("a", R"("b")") + "," + wait("b", R"("a")") + "," + wait("c", R"("b")")),
     {"/nodes/2/after/0 cycle", "/nodes/3 unreachable"}},
    {flow_of(wait("a", R"("a", "opened")")), {"/nodes/1/after/0 cycle"}},
    {R"({"name": "n", "nodes": [)" + wait("a", R"("b")") + "," + wait("b", "") + "]}",
     {"/nodes no_trigger", "/nodes/1/after missing_after"}},
    {flow_of(wait("a", "") + "," + wait("b", R"("a")")), {"/nodes/1/after missing_after", "/nodes/2 unreachable"}},
    {flow_of(wait("a", R"("opened")") + "," + tell(R"({"channel_id": "1", "content": "{{ a.x }} {{ tell }}"})")),
     {"/nodes/2/params not_before", "/nodes/2/params not_before"}},
    {flow_of(R"({"id": "c", "if": "{{ later }}", "after": ["opened"]},)" + wait("later", R"("c:true")")),
     {"/nodes/1/if not_before"}},
    {flow_of(R"({"id": "c", "if": "{{ opened.x }}", "after": ["opened"]},)" +
             tell(R"({"channel_id": "1", "content": "{{ c }}"})", R"("after": ["c:true"])")),
     {"/nodes/2/params no_output"}},
};
const std::vector<Case> kMeaning{
    {R"({"name": "n", "nodes": [{"id": "t", "trigger": "github.isues", "connection": "c"}]})",
     {"/nodes/0/trigger unknown_trigger"}},
    {flow_of(R"({"id": "x", "reaction": "discord.send", "connection": "c", "after": ["opened"]})"),
     {"/nodes/1/reaction unknown_reaction"}},
    {R"({"name": "n", "nodes": [{"id": "t", "trigger": "github.issues", "params": {"owner": "o", "repo": "r"}}]})",
     {"/nodes/0 missing_connection"}},
    {R"({"name": "n", "nodes": [{"id": "t", "trigger": "timer.every", "connection": "c"}]})",
     {"/nodes/0/connection unexpected_connection"}},
    {R"({"name": "n", "nodes": [{"id": "t", "trigger": "timer.every", "params": {"seconds": 0}}]})",
     {"/nodes/0/params/seconds schema"}},
    {R"({"name": "n", "nodes": [{"id": "t", "trigger": "timer.every", "params": {"seconds": "{{ 1 }}"}}]})",
     {"/nodes/0/params/seconds expression"}},
    {R"({"name": "n", "nodes": [{"id": "t", "trigger": "timer.at", "params": {"time": "tomorrow"}}]})",
     {"/nodes/0/params/time schema"}},
    {R"({"name": "n", "nodes": [{"id": "t", "trigger": "timer.at", "params": {"time": 7}}]})",
     {"/nodes/0/params/time schema"}},
    {R"({"name": "n", "nodes": [{"id": "t", "trigger": "github.issues", "connection": "c",
         "params": {"owner": "", "rep": "r", "actions": ["opened", "open"]}}]})",
     {"/nodes/0/params/owner schema", "/nodes/0/params/rep unknown_param", "/nodes/0/params missing_param",
      "/nodes/0/params/actions/1 schema"}},
    {flow_of(tell(R"({"channel_id": "x", "content": "ok"})")), {"/nodes/1/params/channel_id schema"}},
    {flow_of(tell(R"({"channel_id": "{{ opened.x }}", "content": "{{ opened.a }} and more than twenty characters"})")),
     {}},
    {flow_of(tell(R"({"channel_id": "c{{ opened.x }}", "content": "a text of more than twenty characters"})")),
     {"/nodes/1/params/content schema"}},
    {flow_of(tell(R"({"channel_id": "1", "content": "x", "tts": "{{ opened.flag }}"})")), {}},
    {flow_of(tell(R"({"channel_id": "1", "content": "x", "tts": "so {{ opened.flag }}"})")),
     {"/nodes/1/params/tts schema"}},
    {flow_of(tell(R"({"channel_id": "1", "content": "x", "embeds": [{"color": "{{ 1 }}"}, {"color": "red"}]})")),
     {"/nodes/1/params/embeds/1/color schema"}},
    {flow_of(tell(R"({"channel_id": "1", "content": "x", "target": "{{ opened.x }}"})")), {}},
    {flow_of(tell(R"({"channel_id": "1", "content": "x", "target": "a {{ opened.x }}"})")), {}},
    {flow_of(tell(R"({"channel_id": "1", "content": "\\{{ brace"})")), {}},
    {flow_of(tell(R"({"channel_id": "1", "content": "{{ brace"})")), {"/nodes/1/params/content expression"}},
    {flow_of(tell(R"({"channel_id": "1", "content": "{{ opend.x }}"})")), {"/nodes/1/params/content expression"}},
    {flow_of(R"({"id": "x", "reaction": "odd.broken", "connection": "c", "after": ["opened"]})"),
     {"/nodes/1/params schema"}},
};
INSTANTIATE_TEST_SUITE_P(Form, FlowProblem, ::testing::ValuesIn(kForm));
INSTANTIATE_TEST_SUITE_P(Graph, FlowProblem, ::testing::ValuesIn(kGraph));
INSTANTIATE_TEST_SUITE_P(Meaning, FlowProblem, ::testing::ValuesIn(kMeaning));

TEST(Flow, MessagesHelp) {
  const auto only = [](std::string_view json) { return problems_of(json, true).at(0); };
  EXPECT_EQ(only(flow_of(wait("a", R"("c", "opened")") + "," + wait("b", R"("a")") + "," + wait("c", R"("b")"))),
            "the nodes wait for each other: a -> b -> c -> a");
  EXPECT_EQ(only(flow_of(wait("a", R"("opend")"))), "there is no node 'opend', did you mean 'opened'?");
  EXPECT_EQ(only(flow_of(R"({"id": "c", "if": "{{ 1 }}", "after": ["opened"]},)" + wait("y", R"("c")"))),
            "'c' is an if: say 'c:true' or 'c:false'");
  EXPECT_EQ(only(R"({"name": "n", "nodes": [{"id": "t", "trigger": "github.isues", "connection": "c"}]})"),
            "there is no trigger 'github.isues', did you mean 'github.issues'?");
  EXPECT_EQ(only(flow_of(tell(R"({"channel_id": "1", "content": "{{ 1 + zebra }}"})"))),
            "unknown name 'zebra' (byte 7)");
  EXPECT_EQ(only(flow_of(tell(R"({"channel_id": "1", "content": 7})"))), "this must be of type string");
  EXPECT_EQ(only(flow_of(tell(R"({"channel_id": "1", "contents": "x", "content": "y"})"))),
            "discord.send_channel_message has no parameter 'contents', did you mean 'content'?");
}

TEST(Flow, AllProblemsAreToldAtOnce) {
  const auto told = problems_of(R"({"name": "n", "colour": 1, "nodes": [
    {"id": "opened", "trigger": "github.issue", "connection": "octo"},
    {"id": "tell", "reaction": "discord.send_channel_message", "after": ["opend"],
     "params": {"channel_id": "1", "content": "{{ opened..x }}", "embeds": 1}},
    {"id": "tell", "if": "{{ 1 + }}", "after": ["tell:error"]}]})");
  EXPECT_THAT(told, UnorderedElementsAre("/colour unknown_member", "/nodes/0/trigger unknown_trigger",
                                         "/nodes/1 missing_connection", "/nodes/1/after/0 unknown_node",
                                         "/nodes/1/params/content expression", "/nodes/1/params/embeds schema",
                                         "/nodes/2/id duplicate_id", "/nodes/2/if expression",
                                         "/nodes/2/after/0 unknown_port"));
}

TEST(Flow, LimitsHold) {
  std::string many;
  for (int i = 0; i < 100; ++i) many += (i > 0 ? "," : "") + wait(fmt::format("n{}", i), R"("opened")");
  EXPECT_THAT(problems_of(flow_of(many)), ElementsAre("/nodes limit"));
  EXPECT_THAT(problems_of(flow_of(tell(R"({"channel_id": "1", "content": ")" + std::string(300'000, 'x') + "\"}"))),
              ElementsAre(" limit"));
  // A pattern is not tried on a long text: the standard library's would need a stack frame for each character.
  EXPECT_THAT(problems_of(flow_of(tell(R"({"content": "x", "channel_id": ")" + std::string(100'000, 'x') + "\"}"))),
              IsEmpty());
  std::string chain = wait("n0", R"("opened")");
  for (int i = 1; i < 99; ++i) chain += "," + wait(fmt::format("n{}", i), fmt::format(R"("n{}")", i - 1));
  const auto flow = compile(flow_of(chain), FixedCatalogue{});
  ASSERT_TRUE(flow);
  EXPECT_EQ((*flow)->nodes.back().id, "n98");
}

}  // namespace
}  // namespace patchbay::flow
