#include "app/config.hpp"

#include <array>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "core/time.hpp"

extern char** environ;

namespace patchbay::app {
namespace {

// How one setting is read from text and shown as text.
struct Binding {
  std::string name;
  std::string help;
  std::function<Result<>(Config&, const std::string&)> set;
  std::function<std::string(const Config&)> get;
};

Result<> read(const std::string& text, std::string& into) {
  into = text;
  return {};
}

Result<> read(const std::string& text, bool& into) {
  if (text != "true" && text != "false") return fail(Errc::invalid, "must be true or false");
  into = text == "true";
  return {};
}

template <class Number>
  requires std::is_integral_v<Number>
Result<> read(const std::string& text, Number& into) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return fail(Errc::invalid, fmt::format("must be a whole number from {} to {}", std::numeric_limits<Number>::min(),
                                           std::numeric_limits<Number>::max()));
  }
  into = value;
  return {};
}

template <class Rep, class Period>
Result<> read(const std::string& text, std::chrono::duration<Rep, Period>& into) {
  const auto value = parse_duration(text);
  if (!value) return fail(Errc::invalid, "must be a duration such as 250ms, 30s, 5m or 1h");
  into = std::chrono::duration_cast<std::chrono::duration<Rep, Period>>(*value);
  return {};
}

Result<> read(const std::string& text, vault::Failover& into) {
  if (text != "strict" && text != "fallback") return fail(Errc::invalid, "must be strict or fallback");
  into = text == "strict" ? vault::Failover::strict : vault::Failover::fallback;
  return {};
}

Result<> read(const std::string& text, log::Level& into) {
  if (!log::parse_level(text, into)) return fail(Errc::invalid, "must be trace, debug, info, warn, error or off");
  return {};
}

// Settings that are one of some words.
template <class Value>
constexpr std::array<std::pair<std::string_view, Value>, 3> kWords{};
template <>
constexpr std::array<std::pair<std::string_view, plugin::TrustLevel>, 3> kWords<plugin::TrustLevel>{
    {{"any", plugin::TrustLevel::any}, {"listed", plugin::TrustLevel::listed}, {"signed", plugin::TrustLevel::signed_files}}};
template <>
constexpr std::array<std::pair<std::string_view, Isolation>, 3> kWords<Isolation>{
    {{"none", Isolation::none}, {"foreign", Isolation::foreign}, {"all", Isolation::all}}};

template <class Value>
  requires std::is_enum_v<Value>
Result<> read(const std::string& text, Value& into) {
  const auto& words = kWords<Value>;
  for (const auto& [name, value] : words) {
    if (name != text) continue;
    into = value;
    return {};
  }
  return fail(Errc::invalid, fmt::format("must be {}, {} or {}", words[0].first, words[1].first, words[2].first));
}

Result<> read(const std::string& text, std::vector<std::string>& into) {
  into.clear();
  std::size_t start = 0;
  while (start <= text.size() && !text.empty()) {
    const auto comma = std::min(text.find(',', start), text.size());
    auto item = text.substr(start, comma - start);
    while (!item.empty() && item.front() == ' ') item.erase(0, 1);
    while (!item.empty() && item.back() == ' ') item.pop_back();
    if (!item.empty()) into.push_back(std::move(item));
    start = comma + 1;
  }
  return {};
}

std::string show(const std::string& value) { return value; }
std::string show(bool value) { return value ? "true" : "false"; }
template <class Number>
  requires std::is_integral_v<Number>
std::string show(Number value) {
  return std::to_string(value);
}
template <class Rep, class Period>
std::string show(std::chrono::duration<Rep, Period> value) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(value).count();
  return ms % 1000 == 0 ? fmt::format("{}s", ms / 1000) : fmt::format("{}ms", ms);
}
template <class Value>
  requires std::is_enum_v<Value>
std::string show(Value wanted) {
  for (const auto& [name, value] : kWords<Value>) {
    if (value == wanted) return std::string(name);
  }
  return {};
}
std::string show(vault::Failover value) { return value == vault::Failover::strict ? "strict" : "fallback"; }
std::string show(log::Level value) {
  constexpr std::array<std::string_view, 6> kNames{"trace", "debug", "info", "warn", "error", "off"};
  return std::string(kNames.at(static_cast<std::size_t>(value)));
}
std::string show(const std::vector<std::string>& value) { return fmt::format("{}", fmt::join(value, ",")); }

// member: a function from Config& to the member's reference.
template <class Member>
Binding bind(std::string name, std::string help, Member member) {
  return {std::move(name), std::move(help),
          [member](Config& config, const std::string& text) { return read(text, member(config)); },
          [member](const Config& config) { return show(member(const_cast<Config&>(config))); }};
}

#define PATCHBAY_SETTING(name, member, help) bind(name, help, [](Config& c) -> auto& { return c.member; })

const std::vector<Binding>& bindings() {
  static const std::vector<Binding> all{
      PATCHBAY_SETTING("server.address", gateway.address, "address to listen on"),
      PATCHBAY_SETTING("server.port", gateway.port, "port to listen on; 0: the system chooses"),
      PATCHBAY_SETTING("server.public_url", public_url, "what providers call; empty: http://address:port"),
      PATCHBAY_SETTING("server.port_file", port_file, "file that the chosen port is written to"),
      PATCHBAY_SETTING("server.certificate_file", gateway.certificate_file, "PEM chain; with it the port speaks TLS"),
      PATCHBAY_SETTING("server.private_key_file", gateway.private_key_file, "PEM key of the certificate"),
      PATCHBAY_SETTING("server.header_limit_bytes", gateway.header_limit_bytes, "largest request head"),
      PATCHBAY_SETTING("server.body_limit_bytes", gateway.body_limit_bytes, "largest webhook body"),
      PATCHBAY_SETTING("server.api_body_limit_bytes", gateway.api_body_limit_bytes, "largest API request body"),
      PATCHBAY_SETTING("server.buffered_bytes", gateway.buffered_bytes, "bodies in memory of all connections"),
      PATCHBAY_SETTING("server.connections", gateway.connections, "open connections"),
      PATCHBAY_SETTING("server.connections_per_address", gateway.connections_per_address, "0: no limit of its own"),
      PATCHBAY_SETTING("server.header_timeout", gateway.header_timeout, "for a request's head"),
      PATCHBAY_SETTING("server.body_timeout", gateway.body_timeout, "for a request's body"),
      PATCHBAY_SETTING("server.idle_timeout", gateway.idle_timeout, "for the next request of a connection"),
      PATCHBAY_SETTING("server.write_timeout", gateway.write_timeout, "for a client to take its answer"),
      PATCHBAY_SETTING("server.api_timeout", gateway.api_timeout, "for the API to answer"),
      PATCHBAY_SETTING("server.trusted_proxies", gateway.trusted_proxies, "networks whose X-Forwarded-* is believed"),
      PATCHBAY_SETTING("server.access_log", gateway.access_log, "a line for each request"),
      PATCHBAY_SETTING("server.drain_timeout", drain_timeout, "how long a stop waits for what is under way"),
      PATCHBAY_SETTING("database.url", database_url, "sqlite:FILE, or postgresql://user:password@host:port/name"),
      PATCHBAY_SETTING("database.migrate_at_start", migrate_at_start, "bring an older schema up to date by itself"),
      PATCHBAY_SETTING("vault.key_file", vault.key_file, "keys that seal credentials; also PATCHBAY_KEY_FILE"),
      PATCHBAY_SETTING("vault.credential", vault.credential, "a systemd credential with these keys, instead of the file"),
      PATCHBAY_SETTING("vault.providers", vault.providers, "who wraps data keys, the first one first: local, transit, pkcs11"),
      PATCHBAY_SETTING("vault.failover", vault.failover, "when a provider does not answer: strict (refuse), fallback (the next one)"),
      PATCHBAY_SETTING("vault.transit.url", vault.transit.url, "of HashiCorp Vault, as https://vault.example.com:8200"),
      PATCHBAY_SETTING("vault.transit.mount", vault.transit.mount, "path of its Transit engine"),
      PATCHBAY_SETTING("vault.transit.key", vault.transit.key, "name of the key there"),
      PATCHBAY_SETTING("vault.transit.namespace", vault.transit.name_space, "empty: none"),
      PATCHBAY_SETTING("vault.transit.token_file", vault.transit.token_file,
                       "read at each call; empty: the token is in PATCHBAY_VAULT_TRANSIT_TOKEN"),
      PATCHBAY_SETTING("vault.transit.ca_file", vault.transit.ca_file, "certificates to trust; empty: the system's"),
      PATCHBAY_SETTING("vault.transit.timeout", vault.transit.timeout, "for one call"),
      PATCHBAY_SETTING("vault.pkcs11.module", vault.pkcs11.module, "the .so file"),
      PATCHBAY_SETTING("vault.pkcs11.token", vault.pkcs11.token, "label of the token"),
      PATCHBAY_SETTING("vault.pkcs11.key", vault.pkcs11.key, "label of its AES keys"),
      PATCHBAY_SETTING("vault.pkcs11.pin_file", vault.pkcs11.pin_file, "its first line is the user's PIN"),
      PATCHBAY_SETTING("debug.core_dumps", core_dumps, "let the process be dumped and traced, secrets and all"),
      PATCHBAY_SETTING("oauth.authorization_lifetime", authorization_lifetime, "for a person to sign in at a provider"),
      PATCHBAY_SETTING("plugins.folder", plugin_folder, "where the .so files are"),
      PATCHBAY_SETTING("plugins.private_folder", plugin_private_folder, "where copies are loaded from; empty: temporary"),
      PATCHBAY_SETTING("plugins.watch", watch_plugins, "load what is dropped into the folder, or changed in it"),
      PATCHBAY_SETTING("plugins.settle", plugin_settle, "a file is loaded when nothing was written to it for so long"),
      PATCHBAY_SETTING("plugins.drain", plugin_drain, "for the tasks of a replaced build; then they are run again"),
      PATCHBAY_SETTING("plugins.hang", plugin_hang,
                       "a plugin in this process that does not come back for so long is put into its own; 0: never"),
      PATCHBAY_SETTING("plugins.unload", unload_plugins, "unmap replaced builds; for tests: no unloading is safe"),
      PATCHBAY_SETTING("plugins.trust", trust.level, "which files are loaded: any, listed or signed"),
      PATCHBAY_SETTING("plugins.digests", trust.digests, "SHA-256 of the files that are loaded when trust is listed"),
      PATCHBAY_SETTING("plugins.trusted_keys", trust.keys, "public keys whose signatures count when trust is signed"),
      PATCHBAY_SETTING("plugins.isolation", isolation,
                       "which plugins run in a process of their own: none, foreign (those that did not come with Patchbay), all"),
      PATCHBAY_SETTING("plugins.memory_bytes", plugin_memory_bytes, "address space of a plugin's own process; 0: no limit"),
      PATCHBAY_SETTING("plugins.quarantine_folder", quarantine_folder,
                       "what a plugin was given when its process crashed too often is kept here; empty: it is not"),
      PATCHBAY_SETTING("plugins.probe", probe_plugins, "try each file in a process of its own first"),
      PATCHBAY_SETTING("egress.allowed_private_networks", egress.allowed_private_networks,
                       "private networks that flows may reach, as 10.0.0.0/8"),
      PATCHBAY_SETTING("egress.reply_limit_bytes", egress.reply_limit_bytes, "largest answer of a provider"),
      PATCHBAY_SETTING("egress.connections_per_host", egress.connections_per_host, "to one host"),
      PATCHBAY_SETTING("egress.connections", egress.connections, "in all"),
      PATCHBAY_SETTING("egress.waiting", egress.waiting, "requests that may wait for a connection"),
      PATCHBAY_SETTING("egress.connect_timeout", egress.connect_timeout, "for TCP and TLS"),
      PATCHBAY_SETTING("egress.repeats", egress.repeats, "of a request that may be repeated"),
      PATCHBAY_SETTING("egress.ca_file", egress.ca_file, "certificates to trust; empty: the system's"),
      PATCHBAY_SETTING("egress.user_agent", egress.user_agent, "as providers see it"),
      PATCHBAY_SETTING("identity.registration_open", identity.registration_open, "anybody may register"),
      PATCHBAY_SETTING("identity.session_lifetime", identity.session_lifetime, "of a login"),
      PATCHBAY_SETTING("engine.runs", engine.runner.runs, "runs in memory; more wait in the store"),
      PATCHBAY_SETTING("engine.concurrent_reactions", engine.runner.concurrent_reactions, "at the same time"),
      PATCHBAY_SETTING("engine.runs_of_flow", engine.intake.runs_of_flow, "of one flow in memory; more of them wait in the store"),
      PATCHBAY_SETTING("engine.lease", engine.lease, "after which a host that does not stir is taken for dead"),
      PATCHBAY_SETTING("retention.age", engine.retention.age, "how long runs that have ended are kept; 0s: for ever"),
      PATCHBAY_SETTING("retention.bytes", engine.retention.bytes, "of the whole database; 0: no limit, here and below"),
      PATCHBAY_SETTING("retention.runs_per_flow", engine.retention.runs_per_flow, "newer ones push the oldest out"),
      PATCHBAY_SETTING("retention.runs_per_user", engine.retention.runs_per_user, "likewise"),
      PATCHBAY_SETTING("retention.bytes_per_flow", engine.retention.bytes_per_flow, "of inbound requests, as stored"),
      PATCHBAY_SETTING("retention.bytes_per_user", engine.retention.bytes_per_user, "likewise"),
      PATCHBAY_SETTING("engine.queue_items", engine.commit.items, "writes that may wait for their commit"),
      PATCHBAY_SETTING("engine.queue_bytes", engine.commit.bytes, "of these writes"),
      PATCHBAY_SETTING("api.threads", api_threads, "that answer /api/v1"),
      PATCHBAY_SETTING("log.level", log.level, "trace, debug, info, warn, error, off"),
      PATCHBAY_SETTING("log.json", log.json, "one JSON object a line"),
      PATCHBAY_SETTING("log.file", log.file, "empty: standard error"),
  };
  return all;
}

// "client_secret_file" and its like: a secret need not stand in the configuration.
Result<> set_oauth_client(vault::ProviderAccess::Client& client, const std::string& key, const std::string& value) {
  if (key == "client_id") return read(value, client.id);
  if (key == "authorize_url") return read(value, client.authorize_url);
  if (key == "token_url") return read(value, client.token_url);
  if (key == "device_url") return read(value, client.device_url);
  if (key == "revoke_url") return read(value, client.revoke_url);
  if (key == "client_secret") {
    client.secret = Secret(value);
    return {};
  }
  if (key != "client_secret_file") {
    return fail(Errc::invalid, "oauth has client_id, client_secret, client_secret_file, authorize_url, token_url, device_url and revoke_url");
  }
  std::ifstream in(value);
  std::string secret;
  if (!std::getline(in, secret)) return fail(Errc::invalid, "must be a file that can be read");
  client.secret = Secret(secret);
  wipe(secret);
  return {};
}

// "providers.github.base_url" and its like: the middle part is the user's.
Result<> set_provider(Config& config, const std::string& name, const std::string& value) {
  const auto rest = name.substr(std::string_view("providers.").size());
  const auto dot = rest.find('.');
  const auto key = dot == std::string::npos ? "" : rest.substr(dot + 1);
  auto& provider = config.providers[rest.substr(0, dot)];
  if (key == "base_url") return read(value, provider.base_url);
  if (key == "allowed_hosts") return read(value, provider.allowed_hosts);
  if (key == "settings") return read(value, provider.settings_json);
  if (key.starts_with("oauth.")) return set_oauth_client(config.oauth_clients[rest.substr(0, dot)], key.substr(6), value);
  if (key == "isolation") {
    if (value != "process" && value != "none") return fail(Errc::invalid, "must be process or none");
    config.isolated_providers[rest.substr(0, dot)] = value == "process";
    return {};
  }
  return fail(Errc::invalid, "a provider has base_url, allowed_hosts, settings, isolation and oauth.*");
}

std::string environment_name(std::string name) {
  for (auto& c : name) c = c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return "PATCHBAY_" + name;
}

// source: where the value stands, for the error.
Result<> set(Config& config, const std::string& name, const std::string& value, const std::string& source) {
  const auto wrap = [&](Result<> done) -> Result<> {
    if (done) return done;
    return fail(Errc::invalid, fmt::format("{}: {} {}, not '{}'", source, name, done.error().message, value));
  };
  if (name.starts_with("providers.")) return wrap(set_provider(config, name, value));
  for (const auto& binding : bindings()) {
    if (binding.name == name) return wrap(binding.set(config, value));
  }
  return fail(Errc::invalid, fmt::format("{}: there is no setting '{}' (`patchbay config` lists them)", source, name));
}

Result<std::string> to_text(const toml::node& node, const std::string& where) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* flag = node.as_boolean()) return std::string(flag->get() ? "true" : "false");
  if (const auto* list = node.as_array()) {
    std::vector<std::string> items;
    for (const auto& item : *list) {
      auto text = to_text(item, where);
      if (!text) return text;
      items.push_back(*std::move(text));
    }
    return fmt::format("{}", fmt::join(items, ","));
  }
  return fail(Errc::invalid, where + " must be text, a number, true, false or a list");
}

Result<> read_table(Config& config, const toml::table& table, const std::string& prefix, const std::string& file) {
  for (const auto& [key, node] : table) {
    const auto name = prefix + std::string(key.str());
    const auto where = fmt::format("{}:{}", file, node.source().begin.line);
    if (const auto* inner = node.as_table()) {
      if (auto done = read_table(config, *inner, name + ".", file); !done) return done;
      continue;
    }
    auto text = to_text(node, where + ": " + name);
    if (!text) return std::unexpected(text.error());
    if (auto done = set(config, name, *text, where); !done) return done;
  }
  return {};
}

Result<> read_file(Config& config, const std::string& file) {
  try {
    return read_table(config, toml::parse_file(file), "", file);
  } catch (const toml::parse_error& error) {
    return fail(Errc::invalid, fmt::format("{}:{}: {}", file, error.source().begin.line, error.description()));
  }
}

constexpr auto kProviderSettings = std::to_array<std::string_view>(
    {"base_url", "allowed_hosts", "settings", "isolation", "oauth_client_id", "oauth_client_secret", "oauth_client_secret_file", "oauth_authorize_url",
     "oauth_token_url", "oauth_device_url", "oauth_revoke_url"});

Result<> read_environment(Config& config) {
  for (const auto& binding : bindings()) {
    const auto variable = environment_name(binding.name);
    const char* value = std::getenv(variable.c_str());
    if (value == nullptr) continue;
    if (auto done = set(config, binding.name, value, variable); !done) return done;
  }
  if (const char* value = std::getenv("PATCHBAY_KEY_FILE")) config.vault.key_file = value;
  // PATCHBAY_PROVIDERS_GITHUB_BASE_URL
  constexpr std::string_view kPrefix = "PATCHBAY_PROVIDERS_";
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const auto equals = text.find('=');
    if (!text.starts_with(kPrefix) || equals == std::string_view::npos) continue;
    std::string name(text.substr(kPrefix.size(), equals - kPrefix.size()));
    for (auto& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    for (const auto key : kProviderSettings) {
      if (!name.ends_with(key) || name.size() <= key.size() + 1) continue;
      std::string setting(key);
      if (setting.starts_with("oauth_")) setting[5] = '.';
      const auto full = fmt::format("providers.{}.{}", name.substr(0, name.size() - key.size() - 1), setting);
      if (auto done = set(config, full, std::string(text.substr(equals + 1)), std::string(text.substr(0, equals))); !done) {
        return done;
      }
    }
  }
  return {};
}

}  // namespace

Result<Config> load_config(const std::string& file, const std::vector<std::pair<std::string, std::string>>& overrides) {
  Config config;
  if (!file.empty() && !std::filesystem::exists(file)) {
    return fail(Errc::not_found, "there is no configuration file " + file);
  }
  const std::string path = file.empty() && std::filesystem::exists("patchbay.toml") ? "patchbay.toml" : file;
  if (!path.empty()) {
    if (auto done = read_file(config, path); !done) return std::unexpected(done.error());
  }
  if (auto done = read_environment(config); !done) return std::unexpected(done.error());
  for (const auto& [name, value] : overrides) {
    if (auto done = set(config, name, value, "--set"); !done) return std::unexpected(done.error());
  }
  if (auto checked = plugin::check_settings(config.trust); !checked) return std::unexpected(checked.error());
  return config;
}

Config for_development(Config config) {
  config.watch_plugins = true;
  config.plugin_settle = std::min(config.plugin_settle, std::chrono::milliseconds{50});
  config.log.level = std::min(config.log.level, log::Level::debug);
  config.log.json = false;
  return config;
}

namespace {

// A database's URL may hold a password, before the host or in the query (libpq, 34.1.1.2).
std::string without_password(std::string value) {
  const auto cut = [&value](std::size_t from, std::size_t to) { value.replace(from, std::min(to, value.size()) - from, "***"); };
  if (const auto at = value.find("password="); value.find("://") != std::string::npos && at != std::string::npos) {
    cut(at + 9, value.find('&', at));
  }
  const auto begin = value.find("://");
  if (begin == std::string::npos) return value;
  const auto host = value.rfind('@', value.find_first_of("/?", begin + 3));
  const auto colon = value.find(':', begin + 3);
  if (host != std::string::npos && colon < host) cut(colon + 1, host);
  return value;
}

}  // namespace

std::vector<Setting> settings_of(const Config& config) {
  std::vector<Setting> settings;
  for (const auto& binding : bindings()) {
    settings.push_back({binding.name, environment_name(binding.name), without_password(binding.get(config)), binding.help});
  }
  for (const auto& [id, provider] : config.providers) {
    const auto name = "providers." + id + ".";
    settings.push_back({name + "base_url", environment_name(name + "base_url"), provider.base_url, "instead of the manifest's"});
    settings.push_back({name + "allowed_hosts", environment_name(name + "allowed_hosts"),
                        show(provider.allowed_hosts), "besides the manifest's"});
  }
  for (const auto& [id, client] : config.oauth_clients) {
    const auto name = "providers." + id + ".oauth.client_id";
    settings.push_back({name, environment_name(name), client.id, "of the OAuth client that is registered there"});
  }
  return settings;
}

}  // namespace patchbay::app
