#include "flow/template.hpp"

#include <gmock/gmock.h>

#include "unit/flow/scope_fixture.hpp"

namespace patchbay::flow {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Case {
  const char* json;
  const char* rendered;
};
void PrintTo(const Case& tested, std::ostream* out) { *out << tested.json; }

class TemplateValue : public ::testing::TestWithParam<Case> {};

TEST_P(TemplateValue, RendersAsTheTableSays) {
  const ScopeFixture fixture;
  std::vector<Problem> problems;
  const auto compiled = Template::compile(GetParam().json, fixture.names(), "/params", problems);
  for (const auto& problem : problems) ADD_FAILURE() << problem.pointer << " " << problem.message;
  std::string out = "> ";
  const auto rendered = compiled.render(fixture.scope(), out);
  ASSERT_TRUE(rendered) << rendered.error().message;
  EXPECT_EQ(out, std::string("> ") + GetParam().rendered);
  EXPECT_TRUE(JsonDocument::parse(std::string_view(out).substr(2)));
}

constexpr auto kCases = std::to_array<Case>({
    {R"({"a": 1, "b": [true, null, "x\"y"], "c": {}})", R"({"a":1,"b":[true,null,"x\"y"],"c":{}})"},
    {R"({"b": 1, "a": 2})", R"({"b":1,"a":2})"},
    {R"("{{ opened.issue.number }}")", "7"},
    {R"("{{opened.issue.number}}")", "7"},
    {R"(" {{ opened.issue.number }}")", R"(" 7")"},
    {R"("{{ opened.issue.number }}{{ tell.id }}")", R"("742")"},
    {R"("{{ opened.issue.labels.name }}")", R"(["bug","urgent"])"},
    {R"("labels: {{ opened.issue.labels.name }}")", R"("labels: [\"bug\",\"urgent\"]")"},
    {R"("by {{ opened.sender.login }}\n{{ opened.issue.body }}")", R"("by octo\"cat\"\na\nb")"},
    {R"("{{ opened.sender.login }}")", R"("octo\"cat\"")"},
    {R"("a {{ opened.nothing }} b {{ later.x }}")", R"("a  b ")"},
    {R"("{{ opened.none }}")", "null"},
    {R"("is {{ opened.none }}")", R"("is null")"},
    {R"("{{ '}}' }} x")", R"("}} x")"},
    {R"("{{ \"}}\" & '\\'}}' }}!")", R"("}}'}}!")"},
    {R"("{{ {\"a\": {\"b\": 1}} }}")", R"({"a":{"b":1}})"},
    {R"("{{{\"a\":1}}}")", R"({"a":1})"},
    {R"("{{ opened.`with space` /* }} */ }}.")", R"("odd.")"},
    {R"("\\{{ no }} expression")", R"("{{ no }} expression")"},
    {R"("{{ '{{' }} braces }}")", R"("{{ braces }}")"},
    {R"("a } b { c {d}")", R"("a } b { c {d}")"},
    {R"("\\ {{ 1 }}")", R"("\\ 1")"},
    {R"("😀 {{ opened.sender.name }}")", R"("😀 Zoë 😀")"},
    {R"({"{{ key }}": "{{ 1 + 1 }}"})", R"({"{{ key }}":2})"},
    {R"([["{{ 1 }}"], [], "{{ [] }}"])", R"([[1],[],[]])"},
    {R"("\u0001{{ 1 }}\"")", "\"\\u00011\\\"\""},
    {"12345678901234567890", "12345678901234567890"},
    {R"("")", R"("")"},
});
INSTANTIATE_TEST_SUITE_P(Table, TemplateValue, ::testing::ValuesIn(kCases));

std::vector<std::string> problems_of(std::string_view json) {
  const ScopeFixture fixture;
  std::vector<Problem> problems;
  const auto compiled = Template::compile(json, fixture.names(), "/params", problems);
  std::vector<std::string> told;
  for (const auto& [pointer, code, message] : problems) told.push_back(pointer + " " + code + " " + message);
  return told;
}

TEST(Template, TellsAllProblemsWithTheirPlaces) {
  EXPECT_THAT(problems_of(R"({"a": ["{{ opned.x }}"], "b/c~": "text {{ 1 + }}", "d": "{{ open"})"),
              ElementsAre("/params/a/0 expression unknown name 'opned', did you mean 'opened'? (byte 3)",
                          "/params/b~1c~0 expression the expression ends where a value was expected (byte 12)",
                          "/params/d expression this {{ has no }} (write \\{{ for the braces themselves) (byte 0)"));
  EXPECT_THAT(problems_of("{"), ElementsAre(HasSubstr("/params json not JSON")));
  EXPECT_THAT(problems_of(R"("{{ }}")"), ElementsAre(HasSubstr("the expression ends where a value was expected")));
}

std::string error_of(std::string_view json) {
  const ScopeFixture fixture;
  std::vector<Problem> problems;
  std::string out;
  const auto rendered =
      Template::compile(json, fixture.names(), "/nodes/1/params", problems).render(fixture.scope(), out);
  EXPECT_THAT(problems, IsEmpty());
  if (rendered) return "none";
  EXPECT_EQ(rendered.error().code, Errc::invalid);
  return rendered.error().message;
}

TEST(Template, AnUndefinedWholeValueIsAnErrorThatNamesIt) {
  EXPECT_EQ(error_of(R"({"content": "{{ opened.isue.title }}"})"),
            "/nodes/1/params/content: opened.isue.title is undefined");
  EXPECT_EQ(error_of(R"({"content": "{{ opened.isue.title }}!"})"), "none");
}

TEST(Template, AFailedExpressionIsAnErrorThatNamesIt) {
  EXPECT_EQ(error_of(R"(["x", "a {{ 1 + opened.action }}"])"),
            "/nodes/1/params/1: '+' works on numbers, not on a string");
}

TEST(Template, KnowsWhatItReadsAndWhetherATypeIsOpen) {
  const ScopeFixture fixture;
  std::vector<Problem> problems;
  const auto text =
      Template::compile(R"(["a {{ later.x }}", "{{ opened.x }} {{ later }}"])", fixture.names(), "", problems);
  EXPECT_THAT(text.uses(), ElementsAre(2, 0));
  EXPECT_FALSE(text.has_typed_expression());
  const auto typed = Template::compile(R"({"a": "{{ later.x }}"})", fixture.names(), "", problems);
  EXPECT_TRUE(typed.has_typed_expression());
  const Template none;
  EXPECT_THAT(none.uses(), IsEmpty());
  EXPECT_FALSE(none.has_typed_expression());
}

}  // namespace
}  // namespace patchbay::flow
