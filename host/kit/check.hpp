#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"

namespace patchbay::kit {

class Subject;

// A plugin has a grade when it keeps all rules of that level and of those below it.
enum class Level { bronze, silver, gold };
[[nodiscard]] std::string_view name_of(Level level);

// One thing that `patchbay plugin check` looks at.
struct Rule {
  std::string_view id;
  Level level;
  std::string_view what;    // what a plugin that keeps it does
  std::string_view reason;  // why it matters
  std::string_view remedy;
  // Another rule without which this one cannot be tried; empty: none.
  std::string_view needs;
  void (*check)(Subject& subject);
};
[[nodiscard]] std::span<const Rule> rules();  // in the order in which they are tried
[[nodiscard]] const Rule* rule_named(std::string_view id);

struct Finding {
  std::string where;  // "reaction create_issue", "/reactions/0/params"
  std::string what;
};

// Tries one rule in this very process, which a bad plugin may take down. Errc::not_found: no such rule.
[[nodiscard]] Result<std::vector<Finding>> try_rule(const std::string& file, std::string_view rule);
// The findings as one line of JSON, for the process that waits for them, and back.
[[nodiscard]] std::string to_json(const std::vector<Finding>& findings);

struct RuleResult {
  const Rule* rule = nullptr;
  bool skipped = false;  // because of rule->needs
  std::vector<Finding> findings;
  [[nodiscard]] bool passed() const { return !skipped && findings.empty(); }
};
struct Report {
  std::string file;
  std::string id;       // empty: it could not be loaded
  std::string version;
  std::string grade;    // "gold", "silver", "bronze" or "none"
  std::vector<RuleResult> results;
};

// Tries each rule in a process of its own: `program plugin check FILE --rule ID`, which prints to_json(try_rule()).
// Whatever the plugin does there, it happens to that process. limit: for each rule. Errc::not_found: no such file.
[[nodiscard]] Result<Report> check_plugin(const std::string& program, const std::string& file,
                                          std::chrono::milliseconds limit = std::chrono::milliseconds{20'000});

}  // namespace patchbay::kit
