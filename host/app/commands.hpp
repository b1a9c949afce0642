#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/config.hpp"
#include "app/output.hpp"
#include "core/error.hpp"

namespace patchbay::app {

// What the commands do that work on the database without a running host. Each prints its result.
struct Context {
  const Config& config;
  const Output& output;
  std::string user_email;  // --user; empty: the only user there is
};

Result<> migrate_database(const Context& context, std::optional<int> version);
Result<> add_user(const Context& context, const std::string& email, bool admin);
Result<> create_api_key(const Context& context, const std::string& email, const std::string& name);

// The vault's keys (docs/keys.md). Hosts may work on the database meanwhile.
Result<> create_vault_key(const Context& context);
Result<> list_vault_keys(const Context& context);
// provider: empty for the first one of the configuration, here and below.
Result<> rotate_vault_keys(const Context& context, const std::string& provider);
// Seals everything with the present keys; goes on where it was stopped.
Result<> reseal_vault(const Context& context);
// Errc::conflict while something is sealed with it: how much.
Result<> drop_vault_key(const Context& context, const std::string& provider, const std::string& key);

Result<> list_plugins(const Context& context);
// Loads a file in this process and says whether it can be used.
Result<> probe_plugin(const Context& context, const std::string& file);
// Grades a file by all rules, each in a process of its own; with a rule: tries that one in this process and prints what
// it found as JSON. Errc::denied: it does not reach `grade`.
Result<> check_plugin(const Context& context, const std::string& file, const std::string& rule, const std::string& grade);
// Plays scenario files on a plugin. Errc::invalid: what did not go as they say.
Result<> test_plugin(const Context& context, const std::string& file, const std::vector<std::string>& scenarios);
// Plays a scenario against the real provider and writes what was said into its file. credentials_file: JSON object with
// the fields of the manifest's /auth; empty: none.
Result<> record_plugin(const Context& context, const std::string& file, const std::string& scenario,
                       const std::string& credentials_file);
struct NewPlugin {
  std::string id;
  std::string language = "c++";  // or "c", "rust"
  std::string trigger = "webhook";  // or "poll"
  std::string folder;  // empty: named after the id
};
// Makes a folder with a provider to begin with. Errc::conflict: the folder is there.
Result<> new_plugin(const Context& context, const NewPlugin& wanted);
// Makes a key to sign plugins with, in a file of mode 0600; prints its public half.
Result<> create_signing_key(const Context& context, const std::string& key_file);
Result<> sign_plugin(const Context& context, const std::string& file, const std::string& key_file);
// Against plugins.trust, plugins.digests and plugins.trusted_keys; any counts as signed here.
Result<> verify_plugin(const Context& context, const std::string& file);
Result<> import_flow(const Context& context, const std::string& file);
Result<> list_flows(const Context& context);
Result<> list_runs_of(const Context& context, const std::string& flow, const std::string& status, int limit);
Result<> show_run(const Context& context, const std::string& id);
Result<> list_dead(const Context& context, int limit);
Result<> compare_run(const Context& context, const std::string& id);
// All that came within that time until now.
Result<> explain_time(const Context& context, Duration time, int limit);
Result<> explain(const Context& context, const std::string& id);
Result<> show_config(const Context& context);
struct PurgeLimits {
  std::optional<Duration> age;
  std::optional<std::int64_t> bytes;  // of the whole database
};
// Removes ended runs that are older than age, then the oldest until the database is small enough; without limits those of
// the configuration. Works on a full disk. Errc::conflict: a host works on the database, and compacting would hold it up.
Result<> purge_runs(const Context& context, const PurgeLimits& limits);

// Commands to a running host, over its API.
struct Remote {
  std::string url;
  std::string api_key;
};
// verb: "activate" or "deactivate". flow: an id or a name.
Result<> switch_flow(const Output& output, const Remote& remote, const std::string& flow, const std::string& verb);
// from: a node, or empty. current: with the flow's present version.
Result<> replay_run(const Output& output, const Remote& remote, const std::string& run, const std::string& from, bool current);
Result<> cancel_run(const Output& output, const Remote& remote, const std::string& run);
// as: done, repeat or fail.
Result<> decide_step(const Output& output, const Remote& remote, const std::string& run, const std::string& node, const std::string& as);
Result<> list_loaded_plugins(const Output& output, const Remote& remote);
Result<> reload_plugin(const Output& output, const Remote& remote, const std::string& provider);

}  // namespace patchbay::app
