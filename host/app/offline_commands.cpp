#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/commands.hpp"
#include "app/offline_registry.hpp"
#include "app/server.hpp"
#include "engine/flow_service.hpp"
#include "engine/purge.hpp"
#include "engine/run_actions.hpp"
#include "engine/runs.hpp"
#include "identity/identity.hpp"
#include "store/migrations.hpp"

namespace patchbay::app {
namespace {

using nlohmann::json;

Result<std::unique_ptr<store::Database>> open_current(const Config& config) {
  auto database = open_database(config);
  if (!database) return database;
  if (auto checked = check_schema(**database, false); !checked) return std::unexpected(checked.error());
  return database;
}

Result<UserId> resolve_user(const Context& context, store::Database& database) {
  std::vector<std::pair<std::string, std::string>> users;
  auto read = database.read([&](store::Transaction& transaction) -> Result<> {
    users.clear();
    auto rows = transaction.execute("SELECT id, email FROM users ORDER BY id LIMIT 1000", {}, [&](const store::Row& row) {
      users.emplace_back(row.text(0), row.text(1));
    });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  for (const auto& [id, email] : users) {
    if (email == context.user_email || (context.user_email.empty() && users.size() == 1)) {
      return UserId::parse(id).value_or(UserId{});
    }
  }
  if (!context.user_email.empty()) return fail(Errc::not_found, "there is no user " + context.user_email);
  return fail(Errc::invalid, users.empty() ? "there is no user yet: `patchbay user add EMAIL`"
                                           : "there are several users: say which with --user EMAIL");
}

// A password never stands on the command line, where others can see it.
Result<Secret> read_password() {
  if (const char* value = std::getenv("PATCHBAY_PASSWORD")) return Secret(value);
  if (::isatty(STDIN_FILENO) != 0) {
    char* typed = ::getpass("Password: ");
    if (typed == nullptr) return fail(Errc::invalid, "no password was given");
    return Secret(typed);
  }
  std::string line;
  if (!std::getline(std::cin, line)) return fail(Errc::invalid, "give the password on standard input or in PATCHBAY_PASSWORD");
  return Secret(std::move(line));
}

std::string time_text(const std::optional<Timestamp>& time) { return time ? to_rfc3339(*time).substr(0, 23) + "Z" : "-"; }
json time_json(const std::optional<Timestamp>& time) { return time ? json(to_rfc3339(*time)) : json(nullptr); }

json parsed(const std::string& text) {
  auto value = json::parse(text, nullptr, false);
  return value.is_discarded() ? json(text) : value;
}

std::string shortened(const std::string& text, std::size_t length) {
  return text.size() <= length ? text : text.substr(0, length) + "…";
}

}  // namespace

Result<> migrate_database(const Context& context, std::optional<int> version) {
  auto database = open_database(context.config);
  if (!database) return std::unexpected(database.error());
  const auto before = store::migration_state(**database);
  if (!before) return std::unexpected(before.error());
  const int target = version.value_or(before->latest);
  if (auto done = store::migrate(**database, target); !done) return done;
  context.output.print({{"from", before->current}, {"to", target}},
                       {fmt::format("schema version {} -> {}", before->current, target)});
  return {};
}

namespace {

constexpr int kPurgeLot = 500;

struct PurgedSoFar {
  std::int64_t runs = 0;
  std::int64_t deliveries = 0;
};

// Lot by lot, while more() says so and there is something left.
Result<> purge_while(store::Database& database, engine::PurgeWish wish, PurgedSoFar& so_far, const std::function<Result<bool>()>& more) {
  wish.runs = kPurgeLot;
  while (true) {
    const auto goes_on = more();
    if (!goes_on) return std::unexpected(goes_on.error());
    if (!*goes_on) return {};
    engine::Purged purged;
    auto written = database.write([&](store::Transaction& transaction) -> Result<> {
      auto done = engine::purge(transaction, wish);
      if (!done) return std::unexpected(done.error());
      purged = *std::move(done);
      return {};
    });
    if (!written) return written;
    so_far.runs += purged.runs;
    so_far.deliveries += purged.deliveries;
    if (purged.runs < wish.runs && purged.deliveries == 0) return {};
    wish.after = purged.last;
  }
}

}  // namespace

Result<> purge_runs(const Context& context, const PurgeLimits& limits) {
  auto opened = store::open(context.config.database_url, {.place = "purge", .spend_reserve = true});
  if (!opened) return std::unexpected(opened.error());
  auto& database = **opened;
  if (auto checked = check_schema(database, false); !checked) return checked;
  const auto& configured = context.config.engine.retention;
  const bool none_given = !limits.age && !limits.bytes;
  const auto age = none_given && configured.age.count() > 0 ? std::optional<Duration>(configured.age) : limits.age;
  const auto bytes = none_given && configured.bytes > 0 ? std::optional(configured.bytes) : limits.bytes;
  const auto before = database.space();
  if (!before) return std::unexpected(before.error());
  PurgedSoFar so_far;
  if (age) {
    engine::PurgeWish old;
    old.before = engine::purge_boundary(system_clock().now() - *age);
    if (auto done = purge_while(database, old, so_far, [] { return true; }); !done) return done;
  }
  if (bytes) {
    const auto too_large = [&]() -> Result<bool> {
      const auto space = database.space();
      if (!space) return std::unexpected(space.error());
      return space->used > *bytes;
    };
    if (auto done = purge_while(database, {}, so_far, too_large); !done) return done;
  }
  // On a full disk there is no room to rewrite the file; step by step it gets smaller, too.
  if (auto compacted = database.compact(); !compacted) {
    for (auto given = database.shrink(1 << 20); given && *given > 0;) given = database.shrink(1 << 20);
  }
  const auto after = database.space();
  if (!after) return std::unexpected(after.error());
  context.output.print({{"runs", so_far.runs}, {"deliveries", so_far.deliveries}, {"bytes_before", before->used + before->unused}, {"bytes_after", after->used + after->unused}},
                       {fmt::format("removed {} runs and {} deliveries; the database had {} bytes and has {}", so_far.runs, so_far.deliveries,
                                    before->used + before->unused, after->used + after->unused)});
  return {};
}

Result<> add_user(const Context& context, const std::string& email, bool admin) {
  auto database = open_current(context.config);
  if (!database) return std::unexpected(database.error());
  auto password = read_password();
  if (!password) return std::unexpected(password.error());
  identity::Identity identity(**database, system_clock(), context.config.identity);
  auto user = identity.add_user(email, *password, admin ? identity::Role::admin : identity::Role::user);
  if (!user) return std::unexpected(user.error());
  context.output.print({{"id", user->id.to_string()}, {"email", user->email}}, {"added " + user->email});
  return {};
}

Result<> create_api_key(const Context& context, const std::string& email, const std::string& name) {
  auto database = open_current(context.config);
  if (!database) return std::unexpected(database.error());
  identity::Identity identity(**database, system_clock(), context.config.identity);
  auto user = identity.find_user(email);
  if (!user) return std::unexpected(user.error());
  auto key = identity.create_api_key(user->id, name);
  if (!key) return std::unexpected(key.error());
  const std::string text(key->key.reveal());
  context.output.print({{"id", key->id.to_string()}, {"name", key->name}, {"key", text}}, {text});
  return {};
}

Result<> import_flow(const Context& context, const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(Errc::not_found, "cannot read " + file);
  std::stringstream text;
  text << in.rdbuf();
  auto database = open_current(context.config);
  if (!database) return std::unexpected(database.error());
  auto user = resolve_user(context, **database);
  if (!user) return std::unexpected(user.error());

  OfflineRegistry registry(context.config);
  if (auto loaded = registry->load(); !loaded) return loaded;
  auto compiled = flow::compile(text.str(), *registry);
  if (!compiled) {
    std::string lines;
    for (const auto& problem : compiled.error()) lines += fmt::format("\n  {}: {}", problem.pointer, problem.message);
    return fail(Errc::invalid, file + " is not a flow that can run:" + lines);
  }
  const auto now = system_clock().now();
  const engine::FlowRecord record{.id = FlowId::make(now),
                                  .user = *user,
                                  .name = (*compiled)->name,
                                  .state = "draft",
                                  .version = 1,
                                  .definition = text.str(),
                                  .created = now,
                                  .updated = now};
  if (auto saved = engine::FlowStore(**database).insert(record); !saved) return saved;
  context.output.print({{"id", record.id.to_string()}, {"name", record.name}, {"state", record.state}},
                       {fmt::format("{}  {}", record.id.to_string(), record.name)});
  return {};
}

Result<> list_flows(const Context& context) {
  auto database = open_current(context.config);
  if (!database) return std::unexpected(database.error());
  auto user = resolve_user(context, **database);
  if (!user) return std::unexpected(user.error());
  auto flows = engine::FlowStore(**database).list(*user, 1000, std::nullopt);
  if (!flows) return std::unexpected(flows.error());
  json list = json::array();
  std::vector<std::vector<std::string>> rows{{"ID", "STATE", "VERSION", "NAME"}};
  for (const auto& flow : *flows) {
    list.push_back({{"id", flow.id.to_string()}, {"name", flow.name}, {"state", flow.state}, {"version", flow.version}});
    rows.push_back({flow.id.to_string(), flow.state, std::to_string(flow.version), flow.name});
  }
  context.output.print(list, Output::table(rows));
  return {};
}

Result<> list_runs_of(const Context& context, const std::string& flow, const std::string& status, int limit) {
  auto database = open_current(context.config);
  if (!database) return std::unexpected(database.error());
  auto user = resolve_user(context, **database);
  if (!user) return std::unexpected(user.error());
  engine::RunFilter filter;
  filter.user = *user;
  filter.limit = limit;
  if (!status.empty()) filter.statuses = {status};
  if (!flow.empty()) {
    filter.flow = FlowId::parse(flow);
    if (!filter.flow) return fail(Errc::invalid, "'" + flow + "' is not the id of a flow");
  }
  auto runs = engine::list_runs(**database, filter);
  if (!runs) return std::unexpected(runs.error());
  json list = json::array();
  std::vector<std::vector<std::string>> rows{{"ID", "STATUS", "CREATED", "FINISHED", "ERROR"}};
  for (const auto& run : *runs) {
    list.push_back({{"id", run.id.to_string()}, {"flow_id", run.flow.to_string()}, {"status", run.status},
                    {"created_at", to_rfc3339(run.created)}, {"finished_at", time_json(run.finished)},
                    {"error", run.error}});
    rows.push_back({run.id.to_string(), run.status, time_text(run.created), time_text(run.finished), shortened(run.error, 80)});
  }
  context.output.print(list, Output::table(rows));
  return {};
}

Result<> show_run(const Context& context, const std::string& id) {
  auto database = open_current(context.config);
  if (!database) return std::unexpected(database.error());
  const auto run_id = RunId::parse(id);
  if (!run_id) return fail(Errc::invalid, "'" + id + "' is not the id of a run");
  auto run = engine::find_run(**database, UserId{}, *run_id);
  if (!run) return std::unexpected(run.error());
  json steps = json::array();
  std::vector<std::string> lines{fmt::format("run {}  {}", id, run->status),
                                 fmt::format("flow {} \"{}\" version {}", run->flow.to_string(), run->flow_name, run->flow_version),
                                 fmt::format("event {}", run->event_key), ""};
  for (const auto& step : run->steps) {
    steps.push_back({{"node", step.node}, {"kind", step.kind}, {"status", step.status}, {"port", step.port},
                     {"attempt", step.attempt}, {"input", step.input.empty() ? json(nullptr) : parsed(step.input)},
                     {"output", step.output.empty() ? json(nullptr) : parsed(step.output)}, {"error", step.error},
                     {"started_at", time_json(step.started)}, {"finished_at", time_json(step.finished)}});
    lines.push_back(fmt::format("{}  {:<12} {:<9} {:<10} {}", time_text(step.finished), step.node, step.kind,
                                step.status + (step.port.empty() ? "" : ":" + step.port), step.error));
    if (!step.input.empty()) lines.push_back("    in  " + shortened(step.input, 200));
    if (!step.output.empty()) lines.push_back("    out " + shortened(step.output, 200));
  }
  context.output.print({{"id", id}, {"status", run->status}, {"flow_id", run->flow.to_string()},
                        {"event_key", run->event_key}, {"error", run->error}, {"steps", steps}},
                       lines);
  return {};
}

Result<> compare_run(const Context& context, const std::string& id) {
  auto database = open_current(context.config);
  if (!database) return std::unexpected(database.error());
  const auto user = resolve_user(context, **database);
  if (!user) return std::unexpected(user.error());
  const auto run = RunId::parse(id);
  if (!run) return fail(Errc::invalid, "'" + id + "' is not the id of a run");
  const auto comparison = engine::compare_replay(**database, *user, *run);
  if (!comparison) return std::unexpected(comparison.error());
  const auto text = [](const engine::StepDetail& step) {
    if (step.node.empty()) return std::string("-");
    return shortened(step.status + (step.port.empty() ? "" : ":" + step.port) + " " + (step.error.empty() ? step.output : step.error), 60);
  };
  json nodes = json::array();
  std::vector<std::vector<std::string>> rows{{"NODE", "", "BEFORE", "AFTER"}};
  for (const auto& node : comparison->nodes) {
    nodes.push_back({{"node", node.node}, {"same", node.same}});
    rows.push_back({node.node, node.same ? "=" : "≠", text(node.before), text(node.after)});
  }
  context.output.print({{"original", comparison->original.to_string()}, {"replay", id}, {"same", comparison->is_same()}, {"nodes", nodes}}, Output::table(rows));
  return {};
}

Result<> explain_time(const Context& context, Duration time, int limit) {
  auto database = open_current(context.config);
  if (!database) return std::unexpected(database.error());
  const auto user = resolve_user(context, **database);
  if (!user) return std::unexpected(user.error());
  const auto now = system_clock().now();
  const auto all = engine::why_of_time(**database, {.user = *user, .flow = std::nullopt, .since = now - time, .until = now + std::chrono::seconds{1}, .limit = limit});
  if (!all) return std::unexpected(all.error());
  json list = json::array();
  std::vector<std::vector<std::string>> rows{{"AT", "WHAT", "CONCLUSION"}};
  for (const auto& one : *all) {
    list.push_back({{"subject", one.subject}, {"at", time_json(one.at)}, {"conclusion", one.conclusion}});
    rows.push_back({time_text(one.at), one.subject, one.conclusion});
  }
  context.output.print(list, Output::table(rows));
  return {};
}

Result<> list_dead(const Context& context, int limit) {
  auto database = open_current(context.config);
  if (!database) return std::unexpected(database.error());
  const auto user = resolve_user(context, **database);
  if (!user) return std::unexpected(user.error());
  const auto letters = engine::list_dead_letters(**database, *user, limit, "");
  if (!letters) return std::unexpected(letters.error());
  json list = json::array();
  std::vector<std::vector<std::string>> rows{{"RUN", "NODE", "KIND", "SINCE", "REASON"}};
  for (const auto& letter : *letters) {
    list.push_back({{"id", letter.id}, {"kind", letter.kind}, {"run_id", letter.run.to_string()}, {"flow_id", letter.flow.to_string()},
                    {"node", letter.node}, {"reason", letter.reason}, {"created_at", to_rfc3339(letter.created)}});
    rows.push_back({letter.run.to_string(), letter.node, letter.kind, time_text(letter.created), shortened(letter.reason, 80)});
  }
  context.output.print(list, Output::table(rows));
  return {};
}

Result<> explain(const Context& context, const std::string& id) {
  auto database = open_current(context.config);
  if (!database) return std::unexpected(database.error());
  auto explanation = engine::why(**database, UserId{}, id);
  if (!explanation) return std::unexpected(explanation.error());
  json gates = json::array();
  std::vector<std::string> lines{explanation->subject};
  for (const auto& gate : explanation->gates) {
    gates.push_back({{"name", gate.name}, {"passed", gate.passed}, {"detail", gate.detail}, {"at", time_json(gate.at)}});
    lines.push_back(fmt::format("  {} {:<24} {:<16} {}", gate.passed ? "ok  " : "STOP", time_text(gate.at), gate.name, gate.detail));
  }
  lines.push_back(explanation->conclusion);
  context.output.print({{"subject", explanation->subject}, {"conclusion", explanation->conclusion}, {"gates", gates}}, lines);
  return {};
}

Result<> show_config(const Context& context) {
  json list = json::array();
  std::vector<std::vector<std::string>> rows{{"SETTING", "VALUE", "ENVIRONMENT", "MEANING"}};
  for (const auto& setting : settings_of(context.config)) {
    list.push_back({{"name", setting.name}, {"value", setting.value}, {"environment", setting.environment}, {"help", setting.help}});
    rows.push_back({setting.name, setting.value, setting.environment, setting.help});
  }
  context.output.print(list, Output::table(rows));
  return {};
}

}  // namespace patchbay::app
