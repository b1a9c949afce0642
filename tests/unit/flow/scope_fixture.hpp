#pragma once

#include <gtest/gtest.h>

#include "flow/expression.hpp"

namespace patchbay::flow {

// Two nodes that have run and one that has not.
class ScopeFixture {
 public:
  static constexpr const char* kOpened = R"({
    "action": "opened", "id": 1234567890123456789, "ratio": 0.1, "huge": 1e21, "flag": true, "none": null, "empty": [],
    "sender": {"login": "octo\"cat\"", "name": "Zoë 😀"},
    "issue": {"number": 7, "title": "It broke", "html_url": "https://example.test/7", "body": "a\nb",
      "labels": [{"name": "bug", "color": "f00"}, {"name": "urgent", "color": "0f0", "tags": ["x", "y"]}],
      "assignees": [{"login": "hubot"}]},
    "with space": "odd", "matrix": [[1, 2], [3, 4]]})";

  ScopeFixture()
      : documents_{JsonDocument::parse(kOpened).value(),
                   JsonDocument::parse(R"({"id": 42, "list": [3, 1, 2]})").value()},
        outputs_{documents_[0]->root(), documents_[1]->root(), JsonView{}} {}

  [[nodiscard]] std::span<const std::string> names() const { return names_; }
  [[nodiscard]] Scope scope() const { return {names_, outputs_}; }

 private:
  std::vector<std::string> names_{"opened", "tell", "later"};
  std::vector<std::shared_ptr<const JsonDocument>> documents_;
  std::vector<JsonView> outputs_;
};

}  // namespace patchbay::flow
