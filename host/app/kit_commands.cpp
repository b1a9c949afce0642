// What authors of providers work with: plugin check, test, record.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/commands.hpp"
#include "core/loop.hpp"
#include "kit/check.hpp"
#include "kit/scenario.hpp"
#include "kit/trial.hpp"
#include "vault/request_credentials.hpp"

namespace patchbay::app {
namespace {

using nlohmann::json;

json json_of(const kit::RuleResult& result) {
  auto findings = json::array();
  for (const auto& [where, what] : result.findings) findings.push_back({{"where", where}, {"what", what}});
  const auto& rule = *result.rule;
  return {{"rule", rule.id},         {"level", kit::name_of(rule.level)}, {"passed", result.passed()}, {"skipped", result.skipped},
          {"findings", std::move(findings)}, {"what", rule.what},         {"reason", rule.reason},     {"remedy", rule.remedy}};
}

void add_lines(const kit::RuleResult& result, std::vector<std::string>& lines) {
  const auto& rule = *result.rule;
  const std::string_view state = result.skipped ? "skipped" : result.passed() ? "ok" : "FAILED";
  lines.push_back(fmt::format("{:<8} {:<7} {:<14} {}", state, kit::name_of(rule.level), rule.id, rule.what));
  if (result.skipped) lines.push_back(fmt::format("{:17}because the rule '{}' is not kept", "", rule.needs));
  for (const auto& [where, what] : result.findings) lines.push_back(fmt::format("{:17}{}: {}", "", where, what));
  if (result.findings.empty()) return;
  lines.push_back(fmt::format("{:17}why: {}", "", rule.reason));
  lines.push_back(fmt::format("{:17}do:  {}", "", rule.remedy));
}

// A connection's credentials, from a file, put where the manifest says.
class GivenCredentials : public egress::CredentialSource {
 public:
  GivenCredentials(const plugin::Manifest& manifest, const json& fields) {
    if (manifest.auth.empty()) return;
    vault::Fields given;
    for (const auto& [name, field] : fields.items()) given.emplace(name, Secret(field.get<std::string>()));
    credentials_ = vault::RequestCredentials::make(manifest.auth.front(), given);
  }
  Result<> authorize(egress::HttpRequest& request) override {
    if (request.connection.is_nil()) return {};
    if (!credentials_) return std::unexpected(credentials_.error());
    credentials_->apply(request);
    return {};
  }

 private:
  Result<vault::RequestCredentials> credentials_;
};

void put_secret(std::string& text, std::string_view secret) {
  for (auto at = text.find(kit::kSecretMark); at != std::string::npos; at = text.find(kit::kSecretMark, at + secret.size())) {
    text.replace(at, kit::kSecretMark.size(), secret);
  }
}

Result<json> read_credentials(const std::string& file) {
  if (file.empty()) return json::object();
  std::ifstream in(file);
  if (!in) return fail(Errc::not_found, "cannot read " + file);
  auto parsed = json::parse(in, nullptr, false);
  const bool texts = parsed.is_object() && std::all_of(parsed.begin(), parsed.end(), [](const auto& value) { return value.is_string(); });
  if (!texts) return fail(Errc::invalid, file + R"(: write it as {"token": "..."}, with the fields of the manifest's /auth)");
  return parsed;
}

Result<> print_played(const Context& context, const kit::ScenarioResult& played, std::string_view done) {
  context.output.print({{"scenario", played.name}, {"passed", played.failures.empty()}, {"failures", played.failures}},
                       {fmt::format("{}: {}", played.name, played.failures.empty() ? done : "FAILED")});
  if (played.failures.empty()) return {};
  return fail(Errc::invalid, fmt::format("{}:\n{}", played.name, fmt::join(played.failures, "\n")));
}

}  // namespace

Result<> check_plugin(const Context& context, const std::string& file, const std::string& rule, const std::string& grade) {
  if (!rule.empty()) {
    auto findings = kit::try_rule(file, rule);
    if (!findings) return std::unexpected(findings.error());
    const auto text = kit::to_json(*findings);
    context.output.print(json::parse(text), {text});
    std::fflush(nullptr);
    std::cout.flush();
    std::_Exit(0);  // what the plugin has left behind runs no more
  }
  const auto report = kit::check_plugin("/proc/self/exe", file);
  if (!report) return std::unexpected(report.error());
  json results = json::array();
  std::vector<std::string> lines;
  for (const auto& result : report->results) {
    results.push_back(json_of(result));
    add_lines(result, lines);
  }
  const auto name = report->id.empty() ? file : fmt::format("{} ({} {})", file, report->id, report->version);
  lines.push_back(fmt::format("{}: {}", name, report->grade));
  context.output.print({{"file", file}, {"id", report->id}, {"version", report->version}, {"grade", report->grade}, {"rules", std::move(results)}},
                       lines);
  constexpr std::array kGrades = std::to_array<std::string_view>({"none", "bronze", "silver", "gold"});
  const auto place = [&](std::string_view name) { return std::find(kGrades.begin(), kGrades.end(), name) - kGrades.begin(); };
  if (place(report->grade) < place(grade)) {
    return fail(Errc::denied, fmt::format("{} is {}, wanted is {}: see the rules that failed", file, report->grade, grade));
  }
  return {};
}

Result<> test_plugin(const Context& context, const std::string& file, const std::vector<std::string>& scenarios) {
  Result<> all;
  for (const auto& scenario : scenarios) {
    const auto played = kit::play_scenario(file, scenario);
    if (!played) return std::unexpected(played.error());
    if (auto printed = print_played(context, *played, "passed"); !printed) {
      // Each is told; the last one's words end the command.
      if (!all) context.output.failed(all.error());
      all = printed;
    }
  }
  return all;
}

Result<> record_plugin(const Context& context, const std::string& file, const std::string& scenario, const std::string& credentials_file) {
  const auto fields = read_credentials(credentials_file);
  if (!fields) return std::unexpected(fields.error());
  const auto module = kit::open_plugin(file);
  if (!module) return fail(module.error().code, file + ": " + module.error().message);
  GivenCredentials credentials(*module->manifest, *fields);
  Loop loop;
  auto client = egress::make_curl_client(loop, system_clock(), credentials, context.config.egress);
  if (!client) return std::unexpected(client.error());
  const auto live = [&](egress::HttpRequest request) {
    request.expansions.clear();
    put_secret(request.url, kit::trial_secret());
    put_secret(request.body, kit::trial_secret());
    std::optional<Result<egress::HttpReply>> reply;
    (*client)->send(std::move(request), [&reply](Result<egress::HttpReply> answered) { reply = std::move(answered); });
    loop.run_until([&reply] { return reply.has_value(); }, std::chrono::seconds{60});
    return reply ? *std::move(reply) : Result<egress::HttpReply>(fail(Errc::timeout, "no answer"));
  };
  std::vector<std::string> secrets;
  for (const auto& [name, value] : fields->items()) secrets.push_back(value.get<std::string>());
  const auto played = kit::record_scenario(file, scenario, live, secrets);
  if (!played) return std::unexpected(played.error());
  return print_played(context, *played, "recorded in " + scenario);
}

}  // namespace patchbay::app
