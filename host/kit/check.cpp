#include "kit/check.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "kit/subject.hpp"
#include "plugin/child.hpp"

namespace patchbay::kit {
namespace {

using nlohmann::json;

std::vector<Finding> findings_of(Result<plugin::ChildEnd> end, std::chrono::milliseconds limit) {
  if (!end) return {{"the helper process", end.error().message}};
  if (end->late) return {{"the process", fmt::format("it did not return within {} ms", limit.count())}};
  if (end->signal != 0) return {{"the process", fmt::format("it was killed by: {}", ::strsignal(end->signal))}};
  const auto parsed = json::parse(end->output, nullptr, false);
  if (end->exit_code != 0 || !parsed.is_array()) {
    const auto last = plugin::last_line(std::move(end->errors));
    return {{"the process", fmt::format("it ended with {}{}{}", end->exit_code, last.empty() ? "" : ": ", last)}};
  }
  std::vector<Finding> findings;
  for (const auto& one : parsed) findings.push_back({one.value("where", ""), one.value("what", "")});
  return findings;
}

bool passed(const std::vector<RuleResult>& results, std::string_view id) {
  return std::any_of(results.begin(), results.end(), [id](const auto& one) { return one.rule->id == id && one.passed(); });
}

std::string grade_of(const std::vector<RuleResult>& results) {
  std::string grade = "none";
  for (const auto level : {Level::bronze, Level::silver, Level::gold}) {
    const bool all = std::all_of(results.begin(), results.end(), [level](const auto& one) { return one.rule->level != level || one.passed(); });
    if (!all) return grade;
    grade = name_of(level);
  }
  return grade;
}

}  // namespace

std::string_view name_of(Level level) {
  switch (level) {
    case Level::bronze:
      return "bronze";
    case Level::silver:
      return "silver";
    case Level::gold:
      return "gold";
  }
  return "";
}

const Rule* rule_named(std::string_view id) {
  const auto all = rules();
  const auto found = std::find_if(all.begin(), all.end(), [id](const auto& rule) { return rule.id == id; });
  return found == all.end() ? nullptr : &*found;
}

Result<std::vector<Finding>> try_rule(const std::string& file, std::string_view id) {
  const auto* rule = rule_named(id);
  if (rule == nullptr) return fail(Errc::not_found, fmt::format("there is no rule '{}'", id));
  Subject subject(file);
  try {
    rule->check(subject);
  } catch (const Subject::Ended&) {
  } catch (const std::exception& error) {
    subject.found("the plugin", fmt::format("an exception left it: {}", error.what()));
  } catch (...) {
    subject.found("the plugin", "an exception left it");
  }
  return subject.take_findings();
}

std::string to_json(const std::vector<Finding>& findings) {
  json list = json::array();
  for (const auto& one : findings) list.push_back({{"where", one.where}, {"what", one.what}});
  return list.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<Report> check_plugin(const std::string& program, const std::string& file, std::chrono::milliseconds limit) {
  if (!std::filesystem::exists(file)) return fail(Errc::not_found, "there is no file " + file);
  Report report;
  report.file = file;
  for (const auto& rule : rules()) {
    auto& result = report.results.emplace_back();
    result.rule = &rule;
    result.skipped = !rule.needs.empty() && !passed(report.results, rule.needs);
    if (result.skipped) continue;
    result.findings = findings_of(plugin::run_child({program, "plugin", "check", file, "--rule", std::string(rule.id)}, limit), limit);
  }
  report.grade = grade_of(report.results);
  if (!passed(report.results, "create")) return report;  // the rest is known to harm nobody
  if (const auto module = open_plugin(file)) {
    report.id = module->manifest->id;
    report.version = module->manifest->version;
  }
  return report;
}

}  // namespace patchbay::kit
