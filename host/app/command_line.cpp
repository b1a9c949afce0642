#include "app/command_line.hpp"

#include <iostream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <sodium.h>

#include "app/commands.hpp"
#include "app/dev.hpp"
#include "app/config.hpp"
#include "app/output.hpp"
#include "app/server.hpp"

namespace patchbay::app {
namespace {

// What the arguments said. A command is a function that is run when parsing is over.
struct Arguments {
  std::string config_file;
  std::vector<std::string> settings;
  bool json = false;
  std::string user;
  Remote remote{"http://127.0.0.1:8080", ""};
  std::function<Result<>(const Context&)> command;
};

void add_remote(CLI::App& command, Arguments& arguments) {
  command.add_option("--url", arguments.remote.url, "of the host")->envname("PATCHBAY_URL");
  command.add_option("--api-key", arguments.remote.api_key)->envname("PATCHBAY_API_KEY");
}

void add_database_commands(CLI::App& app, Arguments& arguments) {
  auto* serve_command = app.add_subcommand("serve", "Run the host until SIGTERM or SIGINT");
  auto dev = std::make_shared<bool>(false);
  serve_command->add_flag("--dev", *dev, "for who writes a plugin: load each build at once, log what happens");
  serve_command->callback([&arguments, dev] {
    arguments.command = [dev](const Context& context) {
      if (!*dev) return serve(context.config);
      const auto config = for_development(context.config);
      log::configure(config.log);
      return serve(config);
    };
  });

  auto options = std::make_shared<DevOptions>();
  auto* develop_command = app.add_subcommand("dev", "Run a host in a temporary folder, beside simulated providers, for who writes a plugin");
  develop_command->add_option("--plugin", options->plugins, "a file that you build; loaded again whenever it changes")->check(CLI::ExistingFile);
  develop_command->add_option("--flow", options->flow, "JSON file of a flow to run")->check(CLI::ExistingFile);
  develop_command->callback([&arguments, options] {
    arguments.command = [options](const Context& context) { return develop(context, *options); };
  });

  auto* migrate = app.add_subcommand("migrate", "Bring the database to this program's schema");
  auto version = std::make_shared<int>(-1);
  migrate->add_option("--to", *version, "schema version, also downwards");
  migrate->callback([&arguments, version] {
    arguments.command = [version](const Context& context) {
      return migrate_database(context, *version < 0 ? std::nullopt : std::optional(*version));
    };
  });

  auto* config = app.add_subcommand("config", "Show every setting and its value");
  config->callback([&] { arguments.command = show_config; });
}

void add_account_commands(CLI::App& app, Arguments& arguments) {
  auto email = std::make_shared<std::string>();
  auto name = std::make_shared<std::string>();
  auto admin = std::make_shared<bool>(false);
  auto* user = app.add_subcommand("user", "Users")->require_subcommand(1);
  auto* add = user->add_subcommand("add", "Add a user; the password comes from PATCHBAY_PASSWORD or standard input");
  add->add_option("email", *email)->required();
  add->add_flag("--admin", *admin, "may administer this host");
  add->callback([&arguments, email, admin] {
    arguments.command = [=](const Context& context) { return add_user(context, *email, *admin); };
  });

  auto* key = app.add_subcommand("key", "API keys")->require_subcommand(1);
  auto* create = key->add_subcommand("create", "Make an API key; it is shown once");
  create->add_option("email", *email)->required();
  create->add_option("name", *name)->required();
  create->callback([&arguments, email, name] {
    arguments.command = [=](const Context& context) { return create_api_key(context, *email, *name); };
  });

}

void add_vault_commands(CLI::App& app, Arguments& arguments) {
  auto provider = std::make_shared<std::string>();
  auto id = std::make_shared<std::string>();
  auto* keys = app.add_subcommand("keys", "The vault's keys")->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, std::function<Result<>(const Context&)> command) {
    auto* added = keys->add_subcommand(name, help);
    added->callback([&arguments, command] { arguments.command = command; });
    return added;
  };
  add("init", "Make the key file that seals credentials", create_vault_key);
  add("list", "The keys, their states, and how many records each one opens", list_vault_keys);
  auto* rotate = add("rotate", "Make a new key that seals from now on; running hosts follow",
                     [provider](const Context& context) { return rotate_vault_keys(context, *provider); });
  rotate->add_option("--provider", *provider, "local, transit or pkcs11; default: the first one of vault.providers");
  add("re-encrypt", "Seal everything with the present keys, while hosts run; may be stopped and called again", reseal_vault);
  auto* drop = add("drop", "Make an old key unusable; refused while a record needs it",
                   [provider, id](const Context& context) { return drop_vault_key(context, *provider, *id); });
  drop->add_option("key", *id)->required();
  drop->add_option("--provider", *provider, "of the key; default: the first one of vault.providers");
}

void add_plugin_commands(CLI::App& app, Arguments& arguments) {
  auto file = std::make_shared<std::string>();
  auto* plugin = app.add_subcommand("plugin", "Provider plugins")->require_subcommand(1);
  auto* list = plugin->add_subcommand("list", "The plugins of the folder, or of a running host when an API key is given");
  add_remote(*list, arguments);
  list->callback([&] {
    arguments.command = [&arguments](const Context& context) {
      return arguments.remote.api_key.empty() ? list_plugins(context) : list_loaded_plugins(context.output, arguments.remote);
    };
  });
  auto* reload = plugin->add_subcommand("reload", "Load a plugin's file anew, at a running host");
  reload->add_option("provider", *file)->required();
  add_remote(*reload, arguments);
  reload->callback([&arguments, file] {
    arguments.command = [&arguments, file](const Context& context) {
      return reload_plugin(context.output, arguments.remote, *file);
    };
  });
  auto key = std::make_shared<std::string>();
  auto* keygen = plugin->add_subcommand("keygen", "Make a key to sign plugins with");
  keygen->add_option("key-file", *key)->required();
  keygen->callback([&arguments, key] {
    arguments.command = [key](const Context& context) { return create_signing_key(context, *key); };
  });
  auto* sign = plugin->add_subcommand("sign", "Sign a plugin file: writes FILE.sig");
  sign->add_option("file", *file)->required();
  sign->add_option("--key", *key, "made by keygen")->required();
  sign->callback([&arguments, file, key] {
    arguments.command = [file, key](const Context& context) { return sign_plugin(context, *file, *key); };
  });
  auto* verify = plugin->add_subcommand("verify", "Say whether a plugin file is trusted");
  verify->add_option("file", *file)->required();
  verify->callback([&arguments, file] {
    arguments.command = [file](const Context& context) { return verify_plugin(context, *file); };
  });
  auto rule = std::make_shared<std::string>();
  auto* check = plugin->add_subcommand("check", "Grade a plugin file by the rules for providers: bronze, silver, gold");
  check->add_option("file", *file)->required();
  check->add_option("--rule", *rule, "try this rule only, in this process, and print the findings");
  auto grade = std::make_shared<std::string>("bronze");
  check->add_option("--grade", *grade, "fail below this grade")->check(CLI::IsMember({"bronze", "silver", "gold"}));
  check->callback([&arguments, file, rule, grade] {
    arguments.command = [file, rule, grade](const Context& context) { return check_plugin(context, *file, *rule, *grade); };
  });
  auto made = std::make_shared<NewPlugin>();
  auto* create = plugin->add_subcommand("new", "Make a folder with a provider of your own to begin with");
  create->add_option("name", made->id, "id of the provider: small letters, digits, _")->required();
  create->add_option("--lang", made->language)->check(CLI::IsMember({"c++", "c", "rust"}));
  create->add_option("--trigger", made->trigger)->check(CLI::IsMember({"webhook", "poll", "socket"}));
  create->add_option("--folder", made->folder, "default: named after the provider");
  create->callback([&arguments, made] {
    arguments.command = [made](const Context& context) { return new_plugin(context, *made); };
  });
  auto scenarios = std::make_shared<std::vector<std::string>>();
  auto* test = plugin->add_subcommand("test", "Play scenario files on a plugin, without a network");
  test->add_option("file", *file)->required();
  test->add_option("scenario", *scenarios, "JSON files")->required();
  test->callback([&arguments, file, scenarios] {
    arguments.command = [file, scenarios](const Context& context) { return test_plugin(context, *file, *scenarios); };
  });
  auto* record = plugin->add_subcommand("record", "Play a scenario against the real provider, and keep what was said in it");
  record->add_option("file", *file)->required();
  record->add_option("scenario", *rule, "JSON file; is written")->required();
  record->add_option("--credentials", *key, R"(file with a JSON object: {"token": "..."})");
  record->callback([&arguments, file, rule, key] {
    arguments.command = [file, rule, key](const Context& context) { return record_plugin(context, *file, *rule, *key); };
  });
  auto* probe = plugin->add_subcommand("probe", "Load a plugin file and say whether it can be used");
  probe->add_option("file", *file)->required();
  probe->callback([&arguments, file] {
    arguments.command = [file](const Context& context) { return probe_plugin(context, *file); };
  });
}

void add_flow_commands(CLI::App& app, Arguments& arguments) {
  auto argument = std::make_shared<std::string>();
  auto* flow = app.add_subcommand("flow", "Flows")->require_subcommand(1);
  auto* import = flow->add_subcommand("import", "Save a flow from a JSON file");
  import->add_option("file", *argument)->required();
  import->callback([&arguments, argument] {
    arguments.command = [argument](const Context& context) { return import_flow(context, *argument); };
  });
  flow->add_subcommand("list", "All flows")->callback([&] { arguments.command = list_flows; });
  for (const std::string verb : {"activate", "deactivate"}) {
    auto* change = flow->add_subcommand(verb, "Switch a flow, at a running host");
    change->add_option("flow", *argument, "id or name")->required();
    add_remote(*change, arguments);
    change->callback([&arguments, argument, verb] {
      arguments.command = [&arguments, argument, verb](const Context& context) {
        return switch_flow(context.output, arguments.remote, *argument, verb);
      };
    });
  }
}

void add_run_commands(CLI::App& app, Arguments& arguments) {
  auto id = std::make_shared<std::string>();
  auto flow = std::make_shared<std::string>();
  auto status = std::make_shared<std::string>();
  auto limit = std::make_shared<int>(50);
  auto* run = app.add_subcommand("run", "Runs")->require_subcommand(1);
  auto* list = run->add_subcommand("list", "Runs, newest first");
  list->add_option("--flow", *flow, "id of a flow");
  list->add_option("--status", *status)
      ->check(CLI::IsMember({"pending", "running", "completed", "failed", "cancelled", "paused"}));
  list->add_option("--limit", *limit)->check(CLI::Range(1, 10'000));
  list->callback([&arguments, flow, status, limit] {
    arguments.command = [=](const Context& context) { return list_runs_of(context, *flow, *status, *limit); };
  });
  auto* show = run->add_subcommand("show", "A run as a timeline");
  show->add_option("id", *id)->required();
  show->callback([&arguments, id] {
    arguments.command = [id](const Context& context) { return show_run(context, *id); };
  });
  auto* replay = run->add_subcommand("replay", "Make a run again, with the event as it is stored, at a running host");
  replay->add_option("id", *id)->required();
  replay->add_option("--from", *flow, "a node: what stands before it keeps its results");
  auto current = std::make_shared<bool>(false);
  replay->add_flag("--current", *current, "with the flow's present version");
  add_remote(*replay, arguments);
  replay->callback([&arguments, id, flow, current] {
    arguments.command = [&arguments, id, flow, current](const Context& context) {
      return replay_run(context.output, arguments.remote, *id, *flow, *current);
    };
  });
  auto* compare = run->add_subcommand("compare", "A replay beside its original, node by node");
  compare->add_option("id", *id, "of the replay")->required();
  compare->callback([&arguments, id] {
    arguments.command = [id](const Context& context) { return compare_run(context, *id); };
  });
  auto* cancel = run->add_subcommand("cancel", "End a run, at a running host");
  cancel->add_option("id", *id)->required();
  add_remote(*cancel, arguments);
  cancel->callback([&arguments, id] {
    arguments.command = [&arguments, id](const Context& context) { return cancel_run(context.output, arguments.remote, *id); };
  });
  auto* decide = run->add_subcommand("decide", "Say what became of a step that was in flight when its host stopped, at a running host");
  decide->add_option("id", *id)->required();
  decide->add_option("node", *flow)->required();
  decide->add_option("as", *status)->required()->check(CLI::IsMember({"done", "repeat", "fail"}));
  add_remote(*decide, arguments);
  decide->callback([&arguments, id, flow, status] {
    arguments.command = [&arguments, id, flow, status](const Context& context) {
      return decide_step(context.output, arguments.remote, *id, *flow, *status);
    };
  });
  auto* dead = app.add_subcommand("dead", "Steps that failed for good, or that nobody knows about")->require_subcommand(1);
  auto* letters = dead->add_subcommand("list", "Newest first");
  letters->add_option("--limit", *limit)->check(CLI::Range(1, 10'000));
  letters->callback([&arguments, limit] {
    arguments.command = [limit](const Context& context) { return list_dead(context, *limit); };
  });
  auto* why = app.add_subcommand("why", "How far a delivery, an event or a run came, and what stopped it");
  auto* of_one = why->add_option("id", *id, "of a delivery, event or run, or the provider's key of an event");
  auto since = std::make_shared<std::string>();
  why->add_option("--since", *since, "all of a time, such as 1h: what was stopped first")->excludes(of_one);
  why->add_option("--limit", *limit)->check(CLI::Range(1, 10'000));
  why->callback([&arguments, id, since, limit] {
    arguments.command = [id, since, limit](const Context& context) -> Result<> {
      if (!id->empty()) return explain(context, *id);
      const auto time = parse_duration(since->empty() ? "?" : *since);
      if (!time) return fail(Errc::invalid, "say of what: an id, or --since such as 1h");
      return explain_time(context, *time, *limit);
    };
  });
}

void add_purge_command(CLI::App& app, Arguments& arguments) {
  auto age = std::make_shared<std::string>();
  auto bytes = std::make_shared<std::int64_t>(-1);
  auto* purge = app.add_subcommand("purge", "Remove runs that have ended, while no host works on the database; by default as the configuration says");
  purge->add_option("--older-than", *age, "such as 7d or 12h");
  purge->add_option("--to-bytes", *bytes, "the oldest, until the data take no more")->check(CLI::NonNegativeNumber);
  purge->callback([&arguments, age, bytes] {
    arguments.command = [age, bytes](const Context& context) -> Result<> {
      PurgeLimits limits;
      if (!age->empty()) {
        limits.age = parse_duration(*age);
        if (!limits.age) return fail(Errc::invalid, "--older-than " + *age + ": write it as 12h or 7d");
      }
      if (*bytes >= 0) limits.bytes = *bytes;
      return purge_runs(context, limits);
    };
  });
}

Result<std::vector<std::pair<std::string, std::string>>> split_settings(const std::vector<std::string>& texts) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& text : texts) {
    const auto equals = text.find('=');
    if (equals == std::string::npos) return fail(Errc::invalid, "--set " + text + ": write it as section.key=value");
    pairs.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return pairs;
}

}  // namespace

int run(int argc, char** argv) {
  if (sodium_init() < 0) {
    std::cerr << "patchbay: libsodium cannot be started\n";
    return 1;
  }
  CLI::App app{"Patchbay, a self-hosted automation host"};
  app.set_version_flag("--version", PATCHBAY_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  Arguments arguments;
  app.add_option("--config", arguments.config_file, "configuration file (TOML)")->envname("PATCHBAY_CONFIG");
  app.add_option("--set", arguments.settings, "a setting, as section.key=value; may be repeated")->allow_extra_args(false);
  app.add_option("--user", arguments.user, "e-mail of the user, where there are several")->envname("PATCHBAY_USER");
  app.add_flag("--json", arguments.json, "print JSON");
  add_database_commands(app, arguments);
  add_account_commands(app, arguments);
  add_vault_commands(app, arguments);
  add_plugin_commands(app, arguments);
  add_flow_commands(app, arguments);
  add_run_commands(app, arguments);
  add_purge_command(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  const Output output(arguments.json);
  auto settings = split_settings(arguments.settings);
  if (!settings) return output.failed(settings.error());
  auto config = load_config(arguments.config_file, *settings);
  if (!config) return output.failed(config.error());
  log::configure(config->log);
  const auto done = arguments.command({*config, output, arguments.user});
  log::flush();
  return done ? 0 : output.failed(done.error());
}

}  // namespace patchbay::app
