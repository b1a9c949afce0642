#include <gtest/gtest.h>

#include "core/json.hpp"
#include "flow/template.hpp"

namespace patchbay::flow {
namespace {

// Work is counted, not time: a template's expressions share one budget, however many they are.
TEST(Template, ItsExpressionsShareOneBudget) {
  std::string list = "[";
  for (int i = 0; i < 200; ++i) list += (i == 0 ? "" : ",") + std::to_string(i);
  const auto document = *JsonDocument::parse(R"({"l":)" + list + "]}");
  const std::vector<std::string> names{"a"};
  const std::vector<JsonView> outputs{document->root()};
  const auto render = [&](int times) {
    std::string text = "\"";
    for (int i = 0; i < times; ++i) text += "{{ $count(a.l.($$.a.l)) }} ";
    std::vector<Problem> problems;
    const auto compiled = Template::compile(text + "\"", names, "/params/x", problems);
    EXPECT_TRUE(problems.empty());
    std::string out;
    return compiled.render({names, outputs}, out).has_value();
  };
  EXPECT_TRUE(render(1));
  EXPECT_FALSE(render(50));
}

}  // namespace
}  // namespace patchbay::flow
