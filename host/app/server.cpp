#include "app/server.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cctype>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <thread>

#include <boost/asio/signal_set.hpp>
#include <fmt/format.h>

#include "api/api.hpp"
#include "app/backend.hpp"
#include "app/program.hpp"
#include "app/service_manager.hpp"
#include "app/temporary_folder.hpp"
#include "core/bytes.hpp"
#include "core/log.hpp"
#include "core/loop.hpp"
#include "core/loop_thread.hpp"
#include "egress/budgeted_client.hpp"
#include "egress/curl_client.hpp"
#include "engine/engine.hpp"
#include "gateway/gateway.hpp"
#include "identity/identity.hpp"
#include "plugin/hang_watch.hpp"
#include "plugin/probe.hpp"
#include "plugin/registry.hpp"
#include "plugin/reloader.hpp"
#include "store/migrations.hpp"
#include "vault/accounts.hpp"
#include "vault/authorizations.hpp"
#include "vault/authorizing_client.hpp"
#include "vault/connections.hpp"
#include "vault/token_refresher.hpp"
#include "vault/vault.hpp"

namespace patchbay::app {
namespace {

namespace fs = std::filesystem;

// A probe has ten seconds; others may be before it.
constexpr std::chrono::seconds kReloadPatience{30};

Result<> write_port_file(const std::string& file, std::uint16_t port) {
  if (file.empty()) return {};
  // Under another name first: who waits for the file never reads half a number.
  const auto partial = file + ".part";
  {
    std::ofstream out(partial);
    out << port << '\n';
    if (!out) return fail(Errc::unavailable, "cannot write " + partial);
  }
  std::error_code error;
  fs::rename(partial, file, error);
  if (error) return fail(Errc::unavailable, fmt::format("cannot write {}: {}", file, error.message()));
  return {};
}

// The loop cannot be had back from a plugin that does not return. This program starts anew in the same process, as after a
// crash, which costs nothing that was accepted; the plugin goes on in a process of its own, where it can be killed.
void start_again_isolating(const plugin::Hang& hang) {
  log::error("plugin", "{} does not come back from {}: the host starts anew, with {} in a process of its own. It stands at:",
             hang.provider, hang.verb, hang.provider);
  for (const auto& frame : hang.stack) log::error("plugin", "  {}", frame);
  log::flush();
  auto variable = "PATCHBAY_PROVIDERS_" + hang.provider + "_ISOLATION";
  for (auto& c : variable) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  ::setenv(variable.c_str(), "process", 1);
  std::ifstream in("/proc/self/cmdline");
  std::vector<std::string> words;
  for (std::string word; std::getline(in, word, '\0');) words.push_back(word);
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  ::execv("/proc/self/exe", arguments.data());
  std::_Exit(70);  // EX_SOFTWARE; whoever supervises starts it again
}

// Secrets lie in memory that is not dumped, but copies pass through libraries; and who may trace this process reads all of
// it. What it starts (plugins' processes) is not touched: exec makes a process dumpable again.
void keep_memory_private() {
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0 || ::prctl(PR_SET_DUMPABLE, 0) != 0) {
    log::warn("app", "this process can be dumped or traced: {}", std::strerror(errno));
  }
}

// The whole host. Members stand in the order in which they depend on each other, so they go in the reverse of it.
class Host {
 public:
  explicit Host(const Config& config) : config_(config) {}

  ~Host() {
    gateway_.reset();
    if (api_) api_->stop();
    if (registry_) registry_->shut_down();
  }

  Result<> start() {
    if (auto opened = open_stores(); !opened) return opened;
    if (auto loaded = load_plugins(); !loaded) return loaded;
    if (auto listening = listen(); !listening) return listening;
    return start_engine();
  }

  // Until a signal.
  void run() {
    ::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error like a full disk
    boost::asio::signal_set signals(loop_.context(), SIGINT, SIGTERM);
    wait_for_signal(signals);
    std::optional<plugin::HangWatch> hangs;
    if (config_.plugin_hang.count() > 0) hangs.emplace(config_.plugin_hang, start_again_isolating);
    notify_service_manager("READY=1\nSTATUS=taking webhooks");
    if (const auto often = watchdog_interval()) feed_watchdog(*often);
    loop_.run();
    log::info("app", "stopped");
  }

 private:
  Result<> open_stores() {
    auto vault = vault::Vault::open(config_.vault);
    if (!vault) return std::unexpected(vault.error());
    vault_ = *std::move(vault);
    auto database = open_database(config_, host_.to_string(), [this] {
      loop_.post([this] {
        if (engine_) engine_->look_for_runs();
      });
    });
    if (!database) return std::unexpected(database.error());
    database_ = *std::move(database);
    if (auto checked = check_schema(*database_, config_.migrate_at_start); !checked) return checked;
    identity_.emplace(*database_, system_clock(), config_.identity);
    vault::ConnectionSettings settings;
    settings.host = host_.to_string();
    for (const auto& [id, provider] : config_.providers) {
      settings.providers[id].base_url = provider.base_url;
      settings.providers[id].allowed_hosts = provider.allowed_hosts;
    }
    for (const auto& [id, client] : config_.oauth_clients) settings.providers[id].client = client;
    connections_.emplace(*database_, *vault_, system_clock(), std::move(settings));
    return {};
  }

  Result<> load_plugins() {
    auto client = egress::make_curl_client(loop_, system_clock(), *connections_, config_.egress);
    if (!client) return std::unexpected(client.error());
    plain_client_ = egress::make_budgeted_client(loop_, system_clock(), *std::move(client));
    background_.emplace();
    refresher_.emplace(loop_, background_->loop(), system_clock(), *plain_client_, *connections_);
    client_ = vault::make_authorizing_client(system_clock(), *plain_client_, *connections_, *refresher_);
    auto settings = registry_settings(config_);
    settings.private_folder =
        config_.plugin_private_folder.empty() ? private_folder_.path() : config_.plugin_private_folder;
    if (config_.probe_plugins) settings.prober = plugin::probe_with_this_program();
    registry_.emplace(loop_, system_clock(), *client_, std::move(settings));
    if (auto loaded = registry_->load(); !loaded) return loaded;
    connections_->use_manifests(*registry_);
    return connections_->load();
  }

  // The port is open from here on, but nobody is answered before the loop turns.
  Result<> listen() {
    housekeeping_.emplace();
    engine_.emplace(engine::Engine::Parts{loop_, background_->loop(), housekeeping_->loop(), system_clock(), *database_, *vault_,
                                          *connections_, *registry_, host_},
                    config_.engine);
    reloader_.emplace(loop_, background_->loop(), *registry_, config_.plugin_settle);
    backend_.emplace(engine_->hooks(), *registry_, system_clock());
    engine_->on_health([this](std::string why_not) {
      if (!stopping_) backend_->set_not_ready(std::move(why_not));
    });
    const auto secret = random_token(32);
    accounts_.emplace(loop_, *plain_client_, *client_, *connections_);
    authorizations_.emplace(*database_, *vault_, system_clock(), *connections_, *accounts_);
    authorizations_->set_lifetime(config_.authorization_lifetime);
    choices_.emplace(loop_, system_clock(), *registry_);
    auto api = api::Api::start({*identity_, *connections_, *accounts_, *authorizations_, *choices_, *registry_, *database_, engine_->flows(),
                                [this](const std::string& provider) { return reload_plugin(provider); },
                                [this] { loop_.post([this] { engine_->look_for_runs(); }); },
                                [this](RunId id) { loop_.post([this, id] { engine_->cancel_run(id); }); }},
                               {.threads = config_.api_threads, .secret = secret});
    if (!api) return std::unexpected(api.error());
    api_ = *std::move(api);
    auto settings = config_.gateway;
    settings.api_port = api_->port();
    settings.api_secret = secret;
    auto gateway = gateway::Gateway::create(loop_, *backend_, std::move(settings));
    if (!gateway) return std::unexpected(gateway.error());
    gateway_ = *std::move(gateway);
    return {};
  }

  Result<> start_engine() {
    const auto scheme = config_.gateway.certificate_file.empty() ? "http" : "https";
    const auto here = fmt::format("{}://{}:{}", scheme, config_.gateway.address, gateway_->port());
    if (config_.watch_plugins) {
      if (auto watching = reloader_->watch(); !watching) log::warn("app", "{}", watching.error().message);
    }
    const auto public_url = config_.public_url.empty() ? here : config_.public_url;
    authorizations_->set_callback_url(public_url + "/oauth2/callback");
    if (auto started = engine_->start(public_url); !started) return started;
    refresher_->begin();
    ask_devices_later();
    if (auto written = write_port_file(config_.port_file, gateway_->port()); !written) return written;
    log::info("app", "patchbay {} listens on {}, {} providers, {} watches", PATCHBAY_VERSION, here,
              registry_->manifests().size(), engine_->watches());
    return {};
  }

  // On a thread of the API.
  Result<plugin::PluginInfo> reload_plugin(const std::string& provider) {
    auto promise = std::make_shared<std::promise<Result<plugin::PluginInfo>>>();
    auto future = promise->get_future();
    loop_.post([this, provider, promise] {
      reloader_->reload(provider, [promise](Result<plugin::PluginInfo> info) { promise->set_value(std::move(info)); });
    });
    if (future.wait_for(kReloadPatience) != std::future_status::ready) {
      return fail(Errc::timeout, "the plugin was not loaded in time");
    }
    return future.get();
  }

  void ask_devices_later() {
    housekeeping_->loop().after(std::chrono::seconds{1}, [this] {
      if (auto asked = authorizations_->ask_devices(); !asked) log::warn("app", "sign-ins on devices: {}", asked.error().message);
      ask_devices_later();
    });
  }

  // From the loop: when it hangs, the service manager hears nothing.
  void feed_watchdog(std::chrono::milliseconds often) {
    notify_service_manager("WATCHDOG=1");
    loop_.after(often, [this, often] { feed_watchdog(often); });
  }

  void wait_for_signal(boost::asio::signal_set& signals) {
    signals.async_wait([this, &signals](const boost::system::error_code& error, int number) {
      if (error) return;
      if (std::exchange(stopping_, true)) return loop_.stop();
      const auto limit = std::chrono::duration_cast<std::chrono::seconds>(config_.drain_timeout).count();
      log::info("app", "{}: draining, at most {} s", number == SIGINT ? "SIGINT" : "SIGTERM", limit);
      drain();
      wait_for_signal(signals);
    });
  }

  // No new work first, then what is under way, then the end. What is left stays in the store for the next start.
  void drain() {
    backend_->set_not_ready("stopping");
    notify_service_manager("STOPPING=1\nSTATUS=finishing what is under way");
    gateway_->drain(config_.drain_timeout, [this] {
      engine_->drain(config_.drain_timeout, [this] { loop_.stop(); });
    });
  }

  Config config_;
  const HostId host_ = HostId::make(system_clock().now());
  TemporaryFolder private_folder_;  // of the plugins' copies, unless one is configured
  Loop loop_;
  bool stopping_ = false;
  std::unique_ptr<vault::Vault> vault_;
  std::unique_ptr<store::Database> database_;
  std::optional<identity::Identity> identity_;
  std::optional<vault::Connections> connections_;
  std::unique_ptr<egress::HttpClient> plain_client_;  // without a token of its own to renew
  std::optional<vault::TokenRefresher> refresher_;
  std::unique_ptr<egress::HttpClient> client_;
  std::optional<plugin::Registry> registry_;
  std::optional<vault::Accounts> accounts_;
  std::optional<vault::Authorizations> authorizations_;
  std::optional<engine::Choices> choices_;
  std::optional<engine::Engine> engine_;
  std::optional<LoopThread> background_;
  std::optional<LoopThread> housekeeping_;
  std::optional<plugin::Reloader> reloader_;
  std::optional<HostBackend> backend_;
  std::unique_ptr<api::Api> api_;
  std::unique_ptr<gateway::Gateway> gateway_;
};

}  // namespace

Result<std::unique_ptr<store::Database>> open_database(const Config& config, std::string place, std::function<void()> on_announcement) {
  constexpr std::string_view kSqlite = "sqlite:";
  if (config.database_url.starts_with(kSqlite) && !config.database_url.ends_with(":memory:")) {
    const auto parent = fs::path(config.database_url.substr(kSqlite.size())).parent_path();
    std::error_code error;
    if (!parent.empty()) fs::create_directories(parent, error);
    if (error) return fail(Errc::unavailable, fmt::format("cannot make folder {}: {}", parent.string(), error.message()));
  }
  return store::open(config.database_url, {.place = std::move(place), .on_announcement = std::move(on_announcement)});
}

Result<> check_schema(store::Database& database, bool migrate_older) {
  const auto state = store::migration_state(database);
  if (!state) return std::unexpected(state.error());
  if (state->current == state->latest) return {};
  if (state->current == 0 || (migrate_older && state->current < state->latest)) {
    log::info("app", "migrating the database from version {} to {}", state->current, state->latest);
    return store::migrate_to_latest(database);
  }
  if (state->current > state->latest) {
    return fail(Errc::conflict, fmt::format("the database is at schema version {}, this program knows {}: use a newer "
                                            "patchbay", state->current, state->latest));
  }
  return fail(Errc::conflict, fmt::format("the database is at schema version {}, this program needs {}: run "
                                          "`patchbay migrate` (after a backup)", state->current, state->latest));
}

plugin::RegistrySettings registry_settings(const Config& config) {
  plugin::RegistrySettings settings;
  settings.folder = config.plugin_folder;
  settings.providers = config.providers;
  settings.drain_limit = config.plugin_drain;
  settings.trust = config.trust;
  settings.isolated = [level = config.isolation, said = config.isolated_providers](const std::string& id) {
    if (const auto found = said.find(id); found != said.end()) return found->second;
    constexpr auto kShipped = std::to_array<std::string_view>({PATCHBAY_SHIPPED_PLUGINS});
    const bool foreign = std::find(kShipped.begin(), kShipped.end(), id) == kShipped.end();
    return level == Isolation::all || (level == Isolation::foreign && foreign);
  };
  settings.isolation.program = program_folder() / "patchbay-plugin-process";
  settings.isolation.memory_bytes = config.plugin_memory_bytes;
  settings.isolation.quarantine_folder = config.quarantine_folder;
  settings.mapping = config.unload_plugins ? plugin::Mapping::unloaded : plugin::Mapping::kept;
  return settings;
}

Result<> serve(const Config& config) {
  if (!config.core_dumps) keep_memory_private();
  Host host(config);
  if (auto started = host.start(); !started) return started;
  host.run();
  return {};
}

}  // namespace patchbay::app
