#include "flow/expression.hpp"

#include <gmock/gmock.h>

#include "unit/flow/scope_fixture.hpp"

namespace patchbay::flow {
namespace {

struct Case {
  const char* text;
  const char* expected;  // JSON; "undefined"; "error: " and a part of the message
};
void PrintTo(const Case& tested, std::ostream* out) { *out << tested.text; }

class ExpressionValue : public ::testing::TestWithParam<Case> {};

TEST_P(ExpressionValue, IsAsTheTableSays) {
  const ScopeFixture fixture;
  const auto compiled = Expression::compile(GetParam().text, fixture.names());
  ASSERT_TRUE(compiled) << compiled.error().message << " at " << compiled.error().position;
  std::string out = "> ";
  const auto appended = compiled->append_json(fixture.scope(), out);
  const std::string expected = GetParam().expected;
  if (expected.starts_with("error: ")) {
    ASSERT_FALSE(appended) << out;
    EXPECT_EQ(appended.error().code, Errc::invalid);
    EXPECT_THAT(appended.error().message, ::testing::HasSubstr(expected.substr(7)));
    return;
  }
  ASSERT_TRUE(appended) << appended.error().message;
  EXPECT_EQ(*appended, expected != "undefined");
  EXPECT_EQ(out, *appended ? "> " + expected : "> ");
}

constexpr auto kPaths = std::to_array<Case>({
    {"opened.action", R"("opened")"},
    {"opened.issue.number", "7"},
    {"opened.id", "1234567890123456789"},
    {"opened.none", "null"},
    {"opened.none.more", "undefined"},
    {"opened.action.more", "undefined"},
    {"opened.nothing.at.all", "undefined"},
    {"later", "undefined"},
    {"later.id", "undefined"},
    {"tell", R"({"id":42,"list":[3,1,2]})"},
    {"opened.issue.labels.name", R"(["bug","urgent"])"},
    {"opened.issue.labels.tags", R"(["x","y"])"},
    {"opened.issue.assignees.login", R"("hubot")"},
    {"opened.issue.assignees.login[]", R"(["hubot"])"},
    {"opened.issue.labels[0].name", R"("bug")"},
    {"opened.issue.labels[-1].name", R"("urgent")"},
    {"opened.issue.labels[2].name", "undefined"},
    {"opened.issue.labels[name = 'urgent'].color", R"("0f0")"},
    {"opened.issue.labels[name = 'none'].color", "undefined"},
    {"opened.issue.labels[$contains(name, 'u')].name", R"(["bug","urgent"])"},
    {"opened.issue.labels[name = $$.opened.issue.labels[1].name].color", R"("0f0")"},
    {"$.opened.issue.number", "7"},
    {"$$.tell.id", "42"},
    {"tell.list[$ > 1]", "[3,2]"},
    {"tell.list[[0, -1]]", "[3,2]"},
    {"opened.matrix", "[[1,2],[3,4]]"},
    {"opened.matrix[1]", "[3,4]"},
    {"opened.matrix[1][0]", "3"},
    {"opened.issue.labels.name[0]", R"(["bug","urgent"])"},  // of each label's name, as the reference has it
    {"(opened.issue.labels.name)[0]", R"("bug")"},
    {"opened.`with space`", R"("odd")"},
    {"opened.'with space'", R"("odd")"},
    {"opened.issue.(number + 1)", "8"},
    {"opened.issue.labels.{\"n\": name}", R"([{"n":"bug"},{"n":"urgent"}])"},
    {"opened.issue.labels{name: color}", R"({"bug":"f00","urgent":"0f0"})"},
    {"opened.issue.labels.[name, color]", R"([["bug","f00"],["urgent","0f0"]])"},
    {"opened.empty", "[]"},
    {"opened.sender.$uppercase(name)", R"("ZOË 😀")"},
});
constexpr auto kOperators = std::to_array<Case>({
    {"opened.issue.number = 7", "true"},
    {"opened.issue.number != 7", "false"},
    {"opened.issue = opened.issue", "true"},
    {"later.id = 1", "false"},
    {"later.id != 1", "false"},
    {"opened.none = null", "true"},
    {"1 = '1'", "false"},
    {"1 < 2", "true"},
    {"'a' >= 'b'", "false"},
    {"1 < later.id", "undefined"},
    {"1 < 'b'", "error: '<' cannot compare a number with a string"},
    {"true < 1", "error: not a boolean"},
    {"'urgent' in opened.issue.labels.name", "true"},
    {"'hubot' in opened.issue.assignees.login", "true"},
    {"'x' in later", "false"},
    {"true and 0", "false"},
    {"false or 'x'", "true"},
    {"false and 1 < 'b'", "false"},
    {"true or 1 < 'b'", "true"},
    {"1 + 2 * 3 - 4 / 2", "5"},
    {"7 % 4", "3"},
    {"-7 % 4", "-3"},
    {"-opened.issue.number", "-7"},
    {"-'x'", "error: cannot negate a string"},
    {"1 + 'x'", "error: '+' works on numbers, not on a string"},
    {"1 + later", "undefined"},
    {"1 / 0", "error: out of range"},
    {"1e308 * 10", "error: out of range"},
    {"'a' & 1 & true & null & later & [1, 'b']", R"("a1truenull[1,\"b\"]")"},
    {"1 > 2 ? 'a' : 'b'", R"("b")"},
    {"1 > 2 ? 'a'", "undefined"},
    {"opened.flag ? opened.issue.number", "7"},
    {"[1, [2], opened.issue.labels.name, later]", R"([1,[2],"bug","urgent"])"},
    {"[]", "[]"},
    {R"({"a": 1, "b": later, "c": {"d": []}})", R"({"a":1,"c":{"d":[]}})"},
    {"{opened.action: 1}", R"({"opened":1})"},
    {"{1: 1}", "error: a key of an object must be a string, not a number"},
    {"{'a': 1, 'a': 2}", "error: two members of an object have the key 'a'"},
    {"(1; 2)", "2"},
    {"()", "undefined"},
    {"'it\\'s \\u00e9 \\ud83d\\ude00 \\n'", "\"it's é 😀 \\n\""},
    {"'\\ud800'", "\"\xef\xbf\xbd\""},
    {"/* a remark */ 1 /* another */", "1"},
});
constexpr auto kNumbers = std::to_array<Case>({
    {"1.0", "1"},
    {"opened.ratio", "0.1"},
    {"opened.ratio + 0.2", "0.30000000000000004"},
    {"$string(opened.ratio + 0.2)", R"("0.3")"},
    {"opened.huge", "1e+21"},
    {"1e20", "1e+20"},  // beyond 64 bits, where parsers refuse an integer
    {"9e18", "9000000000000000000"},
    {"$string(1e20)", R"("100000000000000000000")"},
    {"1e-6", "0.000001"},
    {"1e-7", "1e-7"},
    {"1.5e-10", "1.5e-10"},
    {"123456.789", "123456.789"},
    {"1.7976931348623157e308", "1.7976931348623157e+308"},
    {"9007199254740991", "9007199254740991"},
    {"-0", "0"},
    {"'' & 9007199254740991", R"("9007199254740991")"},
});
constexpr auto kFunctions = std::to_array<Case>({
    {"$string(opened.issue.labels[0])", R"("{\"name\":\"bug\",\"color\":\"f00\"}")"},
    {"$length(opened.sender.name)", "5"},
    {"$substring('Zoë 😀!', 2, 3)", R"("ë 😀")"},
    {"$substring('hello', -3, 2)", R"("ll")"},
    {"$substringBefore('a@b', '@') & $substringAfter('a@b', '@')", R"("ab")"},
    {"$uppercase('é') & $lowercase('ÀB')", R"("Éàb")"},
    {"$trim('  a \\n b ')", R"("a b")"},
    {"$pad('7', -3, '0')", R"("007")"},
    {"$pad('7', 1e300)", "error: too long"},
    {"$contains('abc', 'b')", "true"},
    {"$split('a,b,c', ',', 2)", R"(["a","b"])"},
    {"$join($split('a,b', ','), '; ')", R"("a; b")"},
    {"$join(opened.issue.labels.name, ', ')", R"("bug, urgent")"},
    {"$join([1])", "error: $join cannot work on a list with a number"},
    {"$replace('a.b.c', '.', '-', 1)", R"("a-b.c")"},
    {"$replace('a', '', 'b')", "error: empty string"},
    {"$boolean([0, []])", "false"},
    {"$not(later)", "undefined"},
    {"$not('')", "true"},
    {"$exists(later)", "false"},
    {"$exists(opened.none)", "true"},
    {"$number('0x1F') + $number('1.5e1')", "46"},
    {"$number('1 2')", "error: $number cannot read '1 2'"},
    {"$abs(-1) + $floor(1.9) + $ceil(0.1)", "3"},
    {"[$round(2.5), $round(3.5), $round(-0.5), $round(2.345, 2), $round(1250, -2)]", "[2,4,0,2.34,1200]"},
    {"$sum(tell.list) & '/' & $max(tell.list) & '/' & $min(tell.list) & '/' & $average(tell.list)", R"("6/3/1/2")"},
    {"$max([])", "undefined"},
    {"$count(opened.issue.labels)", "2"},
    {"$count(later)", "0"},
    {"$append(1, [2])", "[1,2]"},
    {"$reverse(tell.list)", "[2,1,3]"},
    {"$distinct([1, '1', 1, {'a': 1}, {'a': 1}])", R"([1,"1",{"a":1}])"},
    {"$keys(tell)", R"(["id","list"])"},
    {"$lookup(opened, 'with space')", R"("odd")"},
    {"$merge([{'a': 1}, {'a': 2, 'b': 3}])", R"({"a":2,"b":3})"},
    {"[$type(1), $type('s'), $type(null), $type([]), $type({}), $type(true)]",
     R"(["number","string","null","array","object","boolean"])"},
    {"$base64decode($base64encode('ü'))", R"("ü")"},
    {"$base64decode('/w==')", "error: no UTF-8"},
    {"$encodeUrlComponent('a b/ü')", R"("a%20b%2F%C3%BC")"},
    {"$length(1)", "error: $length cannot be called with (a number)"},
    {"$length('a', 'b')", "error: cannot be called"},
    {"$string(1, true, 1, 1, 1)", "error: takes no 5 arguments"},
});
INSTANTIATE_TEST_SUITE_P(Paths, ExpressionValue, ::testing::ValuesIn(kPaths));
INSTANTIATE_TEST_SUITE_P(Operators, ExpressionValue, ::testing::ValuesIn(kOperators));
INSTANTIATE_TEST_SUITE_P(Numbers, ExpressionValue, ::testing::ValuesIn(kNumbers));
INSTANTIATE_TEST_SUITE_P(Functions, ExpressionValue, ::testing::ValuesIn(kFunctions));

struct Wrong {
  const char* text;
  std::size_t position;
  const char* message;
};
void PrintTo(const Wrong& tested, std::ostream* out) { *out << tested.text; }

class ExpressionFault : public ::testing::TestWithParam<Wrong> {};

TEST_P(ExpressionFault, IsToldWithItsPlace) {
  const ScopeFixture fixture;
  const auto compiled = Expression::compile(GetParam().text, fixture.names());
  ASSERT_FALSE(compiled);
  EXPECT_EQ(compiled.error().message, GetParam().message);
  EXPECT_EQ(compiled.error().position, GetParam().position);
}

constexpr auto kFaults = std::to_array<Wrong>({
    {"", 0, "the expression ends where a value was expected"},
    {"opend.action", 0, "unknown name 'opend', did you mean 'opened'?"},
    {"1 + zebra", 4, "unknown name 'zebra'"},
    {"tell.id + $$.opend.x", 13, "unknown name 'opend', did you mean 'opened'?"},
    {"$uppercas('a')", 0, "unknown function '$uppercas', did you mean '$uppercase'?"},
    {"uppercase('a')", 0, "unknown function 'uppercase', did you mean '$uppercase'?"},
    {"'a'('b')", 3, "this is no function: a function's name begins with '$'"},
    {"$map([1], 2)", 0, "function '$map' is not supported yet"},
    {"$x", 0, "a variable is not supported yet"},
    {"$sum", 0, "a function as a value is not supported yet: call it"},
    {"function($a){1}", 0, "a lambda is not supported yet"},
    {"$x := 1", 3, "':=' is not supported yet"},
    {"[1..3]", 2, "'..' is not supported yet"},
    {"opened ~> $keys()", 7, "'~>' is not supported yet"},
    {"opened.*", 7, "'*' is not supported yet"},
    {"$contains('a', /a/)", 15, "a regular expression is not supported yet"},
    {"$substring(?, 1)", 11, "partial application is not supported yet"},
    {"1 +", 3, "the expression ends where a value was expected"},
    {"1 2", 2, "an operator or the end was expected, not '2'"},
    {"(1", 2, "')' was expected, not the end"},
    {"[1, ]", 4, "a value was expected, not ']'"},
    {"'open", 0, "this string has no closing quote"},
    {"`open", 0, "this name has no closing backtick"},
    {"1 /* open", 2, "this comment is never closed"},
    {"'\\q'", 1, "there is no such escape: write \\\\ for a backslash"},
    {"'\\u12'", 1, "\\u must be followed by four hexadecimal digits"},
    {"1e999", 0, "this number is out of range"},
    {"opened.1", 7, "a number, true, false or null cannot be a step of a path: quote a name in backticks"},
    {"$", 0, "'$' alone would be the outputs of all nodes: name one"},
    {"$$", 0, "'$$' must be followed by a node: $$.name"},
    {"opened{'a': 1}[0]", 15, "a predicate cannot follow a grouping {..}"},
    {"opened{'a': 1}{'a': 1}", 14, "there can be one grouping {..} only"},
    {"\xff", 0, "this is not UTF-8"},
});
INSTANTIATE_TEST_SUITE_P(Table, ExpressionFault, ::testing::ValuesIn(kFaults));

TEST(Expression, NamesTheNodesItReads) {
  const ScopeFixture fixture;
  const auto uses = [&](std::string_view text) { return Expression::compile(text, fixture.names()).value().uses(); };
  EXPECT_THAT(uses("opened.tell"), ::testing::ElementsAre(0));
  EXPECT_THAT(uses("tell.id & opened.issue.labels[name = $$.later.x].name & tell.id"),
              ::testing::UnorderedElementsAre(0, 1, 2));
  EXPECT_THAT(uses("'opened'"), ::testing::IsEmpty());
}

TEST(Expression, TruthIsThatOfBoolean) {
  const ScopeFixture fixture;
  const auto test = [&](std::string_view text) {
    return Expression::compile(text, fixture.names()).value().test(fixture.scope());
  };
  for (const auto* text : {"opened.flag", "opened.issue", "'0'", "opened.id", "[0, 1]", "opened.issue.labels"}) {
    EXPECT_EQ(test(text), true) << text;
  }
  for (const auto* text : {"opened.none", "later", "0", "''", "[]", "opened.empty", "{}", "[0]", "opened.nothing"}) {
    EXPECT_EQ(test(text), false) << text;
  }
  EXPECT_FALSE(test("1 < 'a'"));
}

TEST(Expression, TextIsPlainAndStringContentIsEscaped) {
  const ScopeFixture fixture;
  const auto both = [&](std::string_view text) {
    const auto compiled = Expression::compile(text, fixture.names()).value();
    std::string plain, content;
    EXPECT_TRUE(compiled.append_text(fixture.scope(), plain));
    EXPECT_TRUE(compiled.append_string_content(fixture.scope(), content));
    return plain + "|" + content;
  };
  EXPECT_EQ(both("opened.sender.login"), R"(octo"cat"|octo\"cat\")");
  EXPECT_EQ(both("opened.issue.assignees"), R"([{"login":"hubot"}]|[{\"login\":\"hubot\"}])");
  EXPECT_EQ(both("opened.ratio + 0.2"), "0.3|0.3");
  EXPECT_EQ(both("opened.id"), "1234567890123456789|1234567890123456789");
  EXPECT_EQ(both("opened.none"), "null|null");
  EXPECT_EQ(both("later.id"), "|");
}

TEST(Expression, DepthAndLengthAreLimited) {
  const ScopeFixture fixture;
  const auto refused = [&](const std::string& text) { return !Expression::compile(text, fixture.names()).has_value(); };
  const auto repeat = [](std::string_view text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return all;
  };
  EXPECT_FALSE(refused(repeat("(", 100) + "1" + repeat(")", 100)));
  EXPECT_TRUE(refused(repeat("(", 5'000)));
  EXPECT_TRUE(refused(repeat("-", 5'000) + "'a'"));
  EXPECT_TRUE(refused("1" + repeat("+1", 5'000)));
  EXPECT_TRUE(refused(repeat("1?", 5'000)));
  EXPECT_TRUE(refused(repeat(" ", 20'000) + "1"));
}

// Work that grows as the fourth power of the input is stopped; so is text that grows without end.
TEST(Expression, WorkAndMemoryAreLimited) {
  std::string list = R"({"l": [0)";
  for (int i = 1; i < 500; ++i) list += "," + std::to_string(i);
  const auto document = JsonDocument::parse(list + "]}").value();
  const std::vector<std::string> names{"a"};
  const std::vector<JsonView> outputs{document->root()};
  const auto error = [&](const std::string& text) -> std::string {
    std::string out;
    const auto result = Expression::compile(text, names).value().append_json({names, outputs}, out);
    return result ? "none" : result.error().message;
  };
  EXPECT_EQ(error("$count(a.l[$ in $$.a.l])"), "none");
  EXPECT_EQ(error("a.l.($$.a.l.($$.a.l.($$.a.l)))"), "the expression takes too much work for these values");
  EXPECT_EQ(error("a.l.{'k': $$.a, 'm': $$.a, 'n': $$.a, 'o': $$.a, 'p': $$.a}"), "the value is too long");
  std::string doubled = "'0123456789abcdef'";
  for (int i = 0; i < 9; ++i) doubled = "$join([" + doubled + "," + doubled + "])";
  EXPECT_EQ(error(doubled), "none");
  EXPECT_THAT(error("$join(a.l.$pad('', 900000))"),
              ::testing::AnyOf("the text is too long", "the expression takes too much work for these values"));
}

}  // namespace
}  // namespace patchbay::flow
