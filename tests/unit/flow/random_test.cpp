// Random strings of tokens: whatever comes, there is a value or an error, and what is appended is JSON.
#include <random>

#include "flow/expression.hpp"
#include "flow/template.hpp"
#include "unit/flow/scope_fixture.hpp"

namespace patchbay::flow {
namespace {

constexpr auto kTokens = std::to_array<const char*>(
    {"opened",  ".",       "issue",  "labels",  "name",       "[",        "]",      "(",       ")",        "{",
     "}",       ",",       ":",      "?",       "+",          "-",        "*",      "/",       "%",        "&",
     "=",       "!=",      "<",      "<=",      ">",          ">=",       "in",     "and",     "or",       "'a'",
     "\"b\"",   "1",       "0",      "-1",      "1e300",      "true",     "null",   "tell",    "list",     "later",
     "$",       "$$",      "$count", "$string", "$substring", "$split",   "$join",  "$append", "$merge",   "$pad",
     "$lookup", "$number", "$round", "$keys",   "$distinct",  "$reverse", "matrix", "[0]",     "[-1]",     "[]",
     " ",       "''",      "`",      "'",       "\\",         "..",       ":=",     "~>",      ";",        "/*",
     "*/",      "{{",      "}}",     "\\{{",    "😀",          "\xff",     "$sum",   "$max",    ".$keys()", "$not"});

std::string random_tokens(std::mt19937& random) {
  std::string text;
  const auto count = 1 + random() % 24;
  for (std::size_t i = 0; i < count; ++i) text += kTokens[random() % kTokens.size()];
  return text;
}

// Half of all strings are made by a grammar, so that many of them compile.
std::string random_value(std::mt19937& random, int depth) {
  static constexpr auto kLeaves =
      std::to_array<const char*>({"opened", "tell.list", "opened.issue.labels", "'a'", "1", "0", "-2.5", "null",
                                  "later.x", "opened.matrix", "opened.issue.labels.name", "true", "opened.id"});
  static constexpr auto kUnary = std::to_array<const char*>(
      {"-", "$string", "$count", "$sum", "$keys", "$reverse", "$distinct", "$number", "$length", "$split", "$merge"});
  static constexpr auto kBinary = std::to_array<const char*>(
      {"+", "-", "*", "/", "%", "&", "=", "!=", "<", ">=", " in ", " and ", " or ", ".", "?", "~>"});
  if (depth == 0) return kLeaves[random() % kLeaves.size()];
  const auto value = [&] { return random_value(random, depth - 1); };
  switch (random() % 6) {
    case 0:
      return std::string(kUnary[random() % kUnary.size()]) + "(" + value() + ")";
    case 1:
      return value() + kBinary[random() % kBinary.size()] + value();
    case 2:
      return "(" + value() + ")[" + value() + "]";
    case 3:
      return "[" + value() + "," + value() + "]";
    case 4:
      return "{'k':" + value() + ",$string(" + value() + "):" + value() + "}";
    default:
      return "$append(" + value() + "," + value() + ").(" + value() + ")";
  }
}

TEST(RandomExpressions, GiveAValueOrAnError) {
  const ScopeFixture fixture;
  std::mt19937 random(20'231'121);
  int compiled_count = 0;
  int values = 0;
  for (int i = 0; i < 20'000; ++i) {
    const auto text = i % 2 == 0 ? random_tokens(random) : random_value(random, 1 + i / 2 % 5);
    const auto compiled = Expression::compile(text, fixture.names());
    if (!compiled) {
      EXPECT_LE(compiled.error().position, text.size()) << text;
      EXPECT_FALSE(compiled.error().message.empty());
      continue;
    }
    ++compiled_count;
    std::string json;
    const auto appended = compiled->append_json(fixture.scope(), json);
    const bool truth_known = compiled->test(fixture.scope()).has_value();
    if (!appended) continue;
    EXPECT_TRUE(truth_known) << text;
    values += *appended;
    EXPECT_EQ(JsonDocument::parse(json).has_value(), *appended) << text << "\n" << json;
  }
  EXPECT_GT(compiled_count, 5'000);
  EXPECT_GT(values, 1'000);
}

TEST(RandomTemplates, RenderJsonOrGiveAnError) {
  const ScopeFixture fixture;
  std::mt19937 random(7);
  int rendered_count = 0;
  for (int i = 0; i < 5'000; ++i) {
    auto text = random_tokens(random);
    if (i % 2 == 0) text = "x {{ " + random_value(random, 2) + " }} " + (i % 4 == 0 ? text : "");
    std::vector<Problem> problems;
    const auto compiled = Template::compile(json_quote(text), fixture.names(), "/p", problems);
    if (!problems.empty()) continue;
    std::string json;
    if (!compiled.render(fixture.scope(), json)) continue;
    ++rendered_count;
    EXPECT_TRUE(JsonDocument::parse(json)) << text << "\n" << json;
  }
  EXPECT_GT(rendered_count, 500);
}

}  // namespace
}  // namespace patchbay::flow
