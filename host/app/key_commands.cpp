// patchbay keys: the vault's keys, and what is sealed with them.
#include <unistd.h>

#include <filesystem>
#include <iostream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/commands.hpp"
#include "app/server.hpp"
#include "vault/reseal.hpp"
#include "vault/vault.hpp"

namespace patchbay::app {
namespace {

using nlohmann::json;
using vault::KeyName;

Result<std::unique_ptr<store::Database>> open_sealed(const Config& config) {
  auto database = open_database(config);
  if (!database) return database;
  if (auto checked = check_schema(**database, false); !checked) return std::unexpected(checked.error());
  return database;
}

// Empty: the first one.
Result<vault::KeyProvider*> find_provider(const vault::Vault& vault, const std::string& wanted) {
  for (auto* provider : vault.providers()) {
    if (wanted.empty() || provider->id() == wanted) return provider;
  }
  return fail(Errc::not_found, "vault.providers does not name '" + wanted + "'");
}

// What cannot be asked is shown with the reason, and what is sealed with it all the same.
struct ListedKey {
  KeyName name;
  std::string state;
  std::int64_t records = 0;
};

std::vector<ListedKey> keys_of(const vault::Vault& vault, std::map<KeyName, std::int64_t> counts, std::vector<std::string>& troubles) {
  std::vector<ListedKey> listed;
  for (auto* provider : vault.providers()) {
    const auto keys = provider->keys();
    if (!keys) troubles.push_back(fmt::format("{}: {}", provider->id(), keys.error().message));
    if (!keys) continue;
    for (const auto& key : *keys) {
      const KeyName name{std::string(provider->id()), key.id};
      listed.push_back({name, std::string(name_of(key.state)), counts.contains(name) ? counts[name] : 0});
      counts.erase(name);
    }
  }
  for (const auto& [name, records] : counts) listed.push_back({name, "unknown", records});
  return listed;
}

// Records that could not be read any more if the key were dropped.
Result<std::int64_t> count_needing(vault::KeyProvider& provider, const std::string& key, std::map<KeyName, std::int64_t> counts) {
  std::int64_t needing = counts[{std::string(provider.id()), key}];
  if (!provider.drops_older()) return needing;
  const auto keys = provider.keys();
  if (!keys) return std::unexpected(keys.error());
  for (const auto& older : *keys) {
    if (older.id == key) break;
    needing += counts[{std::string(provider.id()), older.id}];
  }
  return needing;
}

}  // namespace

Result<> create_vault_key(const Context& context) {
  const auto& file = context.config.vault.key_file;
  std::error_code ignored;  // creating the file says what is wrong
  const auto folder = std::filesystem::path(file).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, ignored);
  if (auto made = vault::Vault::create_key_file(file); !made) return made;
  context.output.print({{"key_file", file}}, {"made " + file + ": keep a copy, credentials cannot be read without it"});
  return {};
}

Result<> list_vault_keys(const Context& context) {
  const auto vault = vault::Vault::open(context.config.vault);
  if (!vault) return std::unexpected(vault.error());
  const auto database = open_sealed(context.config);
  if (!database) return std::unexpected(database.error());
  auto counts = vault::count_keys(**database);
  if (!counts) return std::unexpected(counts.error());
  std::vector<std::string> troubles;
  json list = json::array();
  std::vector<std::vector<std::string>> rows{{"PROVIDER", "KEY", "STATE", "RECORDS"}};
  for (const auto& key : keys_of(**vault, *std::move(counts), troubles)) {
    list.push_back({{"provider", key.name.provider}, {"id", key.name.key_id}, {"state", key.state}, {"records", key.records}});
    rows.push_back({key.name.provider, key.name.key_id, key.state, std::to_string(key.records)});
  }
  auto lines = Output::table(rows);
  lines.insert(lines.end(), troubles.begin(), troubles.end());
  context.output.print({{"keys", list}, {"troubles", troubles}}, lines);
  return {};
}

Result<> rotate_vault_keys(const Context& context, const std::string& wanted) {
  const auto vault = vault::Vault::open(context.config.vault);
  if (!vault) return std::unexpected(vault.error());
  const auto provider = find_provider(**vault, wanted);
  if (!provider) return std::unexpected(provider.error());
  const auto key = (*provider)->rotate();
  if (!key) return std::unexpected(key.error());
  const std::string id((*provider)->id());
  context.output.print({{"provider", id}, {"id", *key}},
                       {fmt::format("key {} of {} seals from now on; `patchbay keys re-encrypt` moves what is there", *key, id)});
  return {};
}

Result<> reseal_vault(const Context& context) {
  const auto vault = vault::Vault::open(context.config.vault);
  if (!vault) return std::unexpected(vault.error());
  const auto database = open_sealed(context.config);
  if (!database) return std::unexpected(database.error());
  const bool watched = !context.output.json() && ::isatty(STDERR_FILENO) != 0;
  std::map<std::string, std::int64_t> of_tables;
  const auto done = vault::reseal_all(**database, **vault, [&](const vault::ResealProgress& progress) {
    if (watched) std::cerr << fmt::format("\r{}: {} looked at, {} sealed anew", progress.table, progress.looked_at, progress.sealed_anew);
    of_tables[progress.table] = std::max(of_tables[progress.table], progress.looked_at);
  });
  if (watched) std::cerr << '\n';
  if (!done) return std::unexpected(done.error());
  std::int64_t looked_at = 0;
  for (const auto& [table, count] : of_tables) looked_at += count;
  context.output.print({{"records", looked_at}, {"sealed_anew", *done}, {"tables", of_tables}},
                       {fmt::format("{} of {} records were sealed anew", *done, looked_at)});
  return {};
}

Result<> drop_vault_key(const Context& context, const std::string& wanted, const std::string& key) {
  const auto vault = vault::Vault::open(context.config.vault);
  if (!vault) return std::unexpected(vault.error());
  const auto database = open_sealed(context.config);
  if (!database) return std::unexpected(database.error());
  const auto provider = find_provider(**vault, wanted);
  if (!provider) return std::unexpected(provider.error());
  const std::string id((*provider)->id());
  auto counts = vault::count_keys(**database);
  if (!counts) return std::unexpected(counts.error());
  const auto needing = count_needing(**provider, key, *std::move(counts));
  if (!needing) return std::unexpected(needing.error());
  if (*needing > 0) {
    return fail(Errc::conflict, fmt::format("{} records are sealed with key '{}'{}: `patchbay keys re-encrypt` first", *needing, key,
                                            (*provider)->drops_older() ? " or an older one" : ""));
  }
  if (auto dropped = (*provider)->drop(key); !dropped) return dropped;
  context.output.print({{"provider", id}, {"id", key}, {"state", "dropped"}}, {fmt::format("key {} of {} is dropped", key, id)});
  return {};
}

}  // namespace patchbay::app
