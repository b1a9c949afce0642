// JSONata's own test suite (MIT), where it is at hand: every case of these groups that the parser takes must give the
// published result. Cases with lambdas, variables, regular expressions and so on are refused as "not supported yet";
// the number of those that ran is fixed, so that none is lost unseen.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "flow/jsonata/evaluator.hpp"
#include "flow/jsonata/parser.hpp"
#include "flow/jsonata/text.hpp"

namespace patchbay::flow::jsonata {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kSuite = fs::path(PATCHBAY_SOURCE_DIRECTORY) / "../shared/data/jsonata";

struct Group {
  const char* name;
  int cases;  // that run
};
void PrintTo(const Group& group, std::ostream* out) { *out << group.name; }

std::string read(const fs::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

json input_of(const json& test) {
  if (test.contains("data")) return test["data"];
  if (!test.contains("dataset") || test["dataset"].is_null()) return json(json::value_t::discarded);
  return json::parse(read(kSuite / "datasets" / (test["dataset"].get<std::string>() + ".json")));
}

bool same(json found, json expected, bool unordered) {
  if (unordered && found.is_array() && expected.is_array()) {
    std::sort(found.begin(), found.end());
    std::sort(expected.begin(), expected.end());
  }
  return found == expected;
}

enum class Outcome { passed, failed, not_in_subset };

Outcome run(const json& test, const fs::path& file) {
  const auto text = test.contains("expr") ? test["expr"].get<std::string>()
                                          : read(file.parent_path() / test["expr-file"].get<std::string>());
  if (test.contains("bindings") && !test["bindings"].empty()) {
    return Outcome::not_in_subset;
  }
  const bool must_fail = test.contains("code") || test.contains("error");
  auto root = parse(text);
  if (root) {
    if (auto resolved = resolve_over_input(**root); !resolved) root = std::unexpected(resolved.error());
  }
  if (!root) {
    if (root.error().message.find("not supported yet") != std::string::npos) return Outcome::not_in_subset;
    EXPECT_TRUE(must_fail) << file << "\n" << text << "\n" << root.error().message << " at " << root.error().position;
    return must_fail ? Outcome::passed : Outcome::failed;
  }
  const auto data = input_of(test);
  const auto document = data.is_discarded() ? nullptr : JsonDocument::parse(data.dump()).value();
  Evaluator evaluator({}, 1'000'000);
  const auto value = evaluator.run(**root, document ? Value::from(document->root()) : Value{});
  std::string shown = evaluator.error() ? "error: " + evaluator.error()->message : "undefined";
  bool right = false;
  if (evaluator.error()) {
    right = must_fail;
  } else if (!value.defined()) {
    right = test.value("undefinedResult", false);
  } else {
    shown.clear();
    EXPECT_TRUE(append_json(shown, value));
    right = test.contains("result") && same(json::parse(shown), test["result"], test.value("unordered", false));
  }
  EXPECT_TRUE(right) << file << "\n" << text << "\n" << shown << "\nexpected: " << test.dump().substr(0, 600);
  return right ? Outcome::passed : Outcome::failed;
}

class JsonataSuite : public ::testing::TestWithParam<Group> {};

TEST_P(JsonataSuite, GivesThePublishedResults) {
  const auto folder = kSuite / "groups" / GetParam().name;
  if (!fs::exists(folder)) GTEST_SKIP() << "the suite is not here";
  int ran = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    const auto tests = json::parse(read(entry.path()));
    for (const auto& test : tests.is_array() ? tests : json::array({tests})) {
      ran += run(test, entry.path()) != Outcome::not_in_subset;
    }
  }
  EXPECT_EQ(ran, GetParam().cases);
}

// Not here: "performance", whose n * n work is what fuel is there to stop.
constexpr auto kGroups = std::to_array<Group>({{"array-constructor", 21},
                                               {"blocks", 2},
                                               {"boolean-expresssions", 22},
                                               {"comments", 3},
                                               {"comparison-operators", 37},
                                               {"conditionals", 6},
                                               {"context", 2},
                                               {"encoding", 3},
                                               {"errors", 17},
                                               {"fields", 6},
                                               {"flattening", 43},
                                               {"function-abs", 1},
                                               {"function-append", 4},
                                               {"function-average", 9},
                                               {"function-boolean", 12},
                                               {"function-ceil", 4},
                                               {"function-contains", 5},
                                               {"function-count", 8},
                                               {"function-distinct", 8},
                                               {"function-exists", 17},
                                               {"function-floor", 4},
                                               {"function-join", 9},
                                               {"function-keys", 4},
                                               {"function-length", 13},
                                               {"function-lookup", 4},
                                               {"function-lowercase", 2},
                                               {"function-max", 19},
                                               {"function-merge", 3},
                                               {"function-number", 24},
                                               {"function-pad", 13},
                                               {"function-replace", 8},
                                               {"function-reverse", 3},
                                               {"function-round", 10},
                                               {"function-split", 17},
                                               {"function-string", 16},
                                               {"function-substring", 14},
                                               {"function-substringAfter", 3},
                                               {"function-substringBefore", 4},
                                               {"function-sum", 6},
                                               {"function-trim", 2},
                                               {"function-uppercase", 1},
                                               {"inclusion-operator", 7},
                                               {"literals", 19},
                                               {"missing-paths", 3},
                                               {"null", 4},
                                               {"numeric-operators", 12},
                                               {"object-constructor", 18},
                                               {"parentheses", 7},
                                               {"partial-application", 1},
                                               {"predicates", 4},
                                               {"quoted-selectors", 5},
                                               {"simple-array-selectors", 14},
                                               {"string-concat", 9},
                                               {"token-conversion", 3},
                                               {"transform", 84}});

INSTANTIATE_TEST_SUITE_P(Groups, JsonataSuite, ::testing::ValuesIn(kGroups), [](const auto& tested) {
  std::string name = tested.param.name;
  std::erase(name, '-');
  return name;
});

}  // namespace
}  // namespace patchbay::flow::jsonata
