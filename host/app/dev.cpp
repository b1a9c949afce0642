#include "app/dev.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/offline_registry.hpp"
#include "app/program.hpp"
#include "app/server.hpp"
#include "app/temporary_folder.hpp"
#include "engine/runs.hpp"
#include "identity/identity.hpp"
#include "vault/connections.hpp"

extern char** environ;

namespace patchbay::app {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using namespace std::chrono_literals;

constexpr std::string_view kEmail = "dev@example.org";
constexpr std::string_view kToken = "simulated";

// Of an installation, or of the build tree.
fs::path shipped_plugins() {
  const auto installed = program_folder().parent_path() / PATCHBAY_LIBRARY_FOLDER / "patchbay/plugins";
  return fs::exists(installed) ? installed : program_folder().parent_path() / "plugins";
}

// patchbay-sim, which ends with this process.
class Simulators {
 public:
  ~Simulators() {
    if (process_ <= 0) return;
    ::kill(process_, SIGTERM);
    ::waitpid(process_, nullptr, 0);
  }

  Result<json> start(const std::string& output) {
    const auto program = (program_folder() / "patchbay-sim").string();
    std::vector<std::string> words{program,          "--github-port",   "0", "--discord-port", "0",        "--sink-port", "0", "--github-token",
                                   std::string(kToken), "--discord-token", std::string(kToken), "--print-json", "--with-parent"};
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const int failed = ::posix_spawn(&process_, program.c_str(), &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
      process_ = 0;
      return fail(Errc::not_found, fmt::format("{} cannot be started: {}", program, std::strerror(failed)));
    }
    for (int tries = 0; tries < 200; ++tries) {
      std::ifstream in(output);
      const auto urls = json::parse(in, nullptr, false);
      if (urls.is_object()) return urls;
      std::this_thread::sleep_for(50ms);
    }
    return fail(Errc::timeout, "the simulators did not start");
  }

 private:
  pid_t process_ = 0;
};

// Files that somebody builds, copied whole into the plugins folder whenever they have changed and settled.
class Mirror {
 public:
  Mirror(std::vector<std::string> files, fs::path folder) : folder_(std::move(folder)) {
    for (auto& file : files) files_.emplace(std::move(file), Seen{});
  }
  void look() {
    for (auto& [file, seen] : files_) {
      std::error_code error;
      const Seen now{fs::last_write_time(file, error), fs::file_size(file, error), false};
      if (error) continue;
      const bool changed = now.time != seen.time || now.size != seen.size;
      if (!changed && !seen.settled) copy(file);
      const bool settled = !changed;
      seen = now;
      seen.settled = settled;
    }
  }

 private:
  struct Seen {
    fs::file_time_type time{};
    std::uintmax_t size = 0;
    bool settled = false;
  };
  void copy(const std::string& file) const {
    std::error_code error;
    const auto target = folder_ / fs::path(file).filename();
    auto part = target;
    part += ".part";
    fs::copy_file(file, part, fs::copy_options::overwrite_existing, error);
    if (!error) fs::rename(part, target, error);
    if (error) std::cerr << fmt::format("patchbay: {}: {}\n", file, error.message());
  }
  fs::path folder_;
  std::map<std::string, Seen> files_;
};

std::string clipped(const std::string& text) { return text.size() <= 160 ? text : text.substr(0, 160) + "…"; }

std::string clock_of(Timestamp time) { return to_rfc3339(time).substr(11, 12); }

// A run as some lines: the flow, then each step with what it put out.
void print_run(store::Database& database, UserId user, RunId id) {
  const auto run = engine::find_run(database, user, id);
  if (!run) return;
  std::string text = fmt::format("{}  {}  {}  event {}\n", clock_of(run->created), run->status, run->flow_name, run->event_key);
  for (const auto& step : run->steps) {
    if (step.status == "pending") continue;
    text += fmt::format("              {:<10} {:<9} {}{}{}\n", step.status, step.node, step.kind, step.port.empty() ? "" : ":" + step.port,
                        step.attempt > 1 ? fmt::format("  attempt {}", step.attempt) : "");
    if (!step.error.empty()) text += "                error " + clipped(step.error) + "\n";
    if (!step.input.empty()) text += "                in    " + clipped(step.input) + "\n";
    if (!step.output.empty()) text += "                out   " + clipped(step.output) + "\n";
  }
  std::cout << text << std::flush;
}

// Prints each run once it has ended, in the order of their beginning.
class RunPrinter {
 public:
  RunPrinter(store::Database& database, UserId user) : database_(database), user_(user) {}
  void look() {
    engine::RunFilter filter;
    filter.user = user_;
    filter.limit = 100;
    auto runs = engine::list_runs(database_, filter);
    if (!runs) return;
    for (auto run = runs->rbegin(); run != runs->rend(); ++run) {
      const bool ended = run->status != "pending" && run->status != "running";
      if (ended && printed_.insert(run->id.to_string()).second) print_run(database_, user_, run->id);
    }
    while (printed_.size() > 1000) printed_.erase(printed_.begin());  // ids begin with their time
  }

 private:
  store::Database& database_;
  UserId user_;
  std::set<std::string> printed_;
};

class Workshop {
 public:
  Workshop(const Context& context, DevOptions options) : context_(context), options_(std::move(options)), config_(for_development(context.config)) {}

  Result<> prepare() {
    if (folder_.path().empty()) return fail(Errc::unavailable, "no temporary folder can be made");
    config_.log.level = std::max(context_.config.log.level, log::Level::info);  // steps are printed by themselves
    config_.database_url = "sqlite:" + folder_.path() + "/patchbay.db";
    config_.vault = {};
    config_.vault.key_file = folder_.path() + "/patchbay.key";
    config_.core_dumps = true;  // who writes a plugin debugs it, and the accounts are simulated
    config_.port_file = folder_.path() + "/port";
    config_.plugin_folder = folder_.path() + "/plugins";
    config_.trust = {};
    config_.egress.allowed_private_networks.emplace_back("127.0.0.0/8");
    auto urls = simulators_.start(folder_.path() + "/simulators.json");
    if (!urls) return std::unexpected(urls.error());
    urls_ = *std::move(urls);
    if (auto copied = gather_plugins(); !copied) return copied;
    if (auto made = vault::Vault::create_key_file(config_.vault.key_file); !made) return made;
    if (auto made = make_account(); !made) return made;
    return import();
  }

  Result<> run() {
    log::configure(config_.log);
    std::thread companion([this] { accompany(); });
    auto served = serve(config_);
    ended_ = true;
    companion.join();
    return served;
  }

 private:
  Result<> gather_plugins() {
    std::error_code error;
    fs::create_directory(config_.plugin_folder, error);
    for (fs::directory_iterator at(shipped_plugins(), error), end; !error && at != end; at.increment(error)) {
      if (plugin::is_plugin_name(at->path().filename().string())) fs::copy_file(at->path(), fs::path(config_.plugin_folder) / at->path().filename(), error);
    }
    if (error) return fail(Errc::not_found, fmt::format("the plugins in {} cannot be copied: {}", shipped_plugins().string(), error.message()));
    for (const auto& file : options_.plugins) {
      fs::copy_file(file, fs::path(config_.plugin_folder) / fs::path(file).filename(), fs::copy_options::overwrite_existing, error);
      if (error) return fail(Errc::unavailable, fmt::format("{} cannot be copied: {}", file, error.message()));
    }
    return {};
  }

  // A user, an API key, and an account "my <provider>" at each provider, whose base URL is a simulator's.
  Result<> make_account() {
    auto database = open_database(config_);
    if (!database) return std::unexpected(database.error());
    if (auto migrated = check_schema(**database, true); !migrated) return migrated;
    identity::Identity identity(**database, system_clock(), config_.identity);
    auto user = identity.add_user(kEmail, Secret(random_token(18)), identity::Role::admin);
    if (!user) return std::unexpected(user.error());
    user_ = user->id;
    auto key = identity.create_api_key(user_, "dev");
    if (!key) return std::unexpected(key.error());
    api_key_ = key->key.reveal();
    auto vault = vault::Vault::open(config_.vault);
    if (!vault) return std::unexpected(vault.error());
    vault::Connections connections(**database, **vault, system_clock());
    OfflineRegistry registry(config_);
    if (auto loaded = registry->load(); !loaded) return loaded;
    connections.use_manifests(*registry);
    for (const auto& manifest : registry->manifests()) {
      if (auto made = add_provider(*manifest, connections); !made) return made;
    }
    return {};
  }

  Result<> add_provider(const plugin::Manifest& manifest, vault::Connections& connections) {
    auto& provider = config_.providers[manifest.id];
    if (provider.base_url.empty() && !manifest.base_url.empty()) provider.base_url = urls_.value(manifest.id, urls_.value("sink", ""));
    provider.allowed_hosts.emplace_back("127.0.0.1");
    const auto found = std::ranges::find_if(manifest.auth, [](const auto& scheme) { return !scheme.fields.empty(); });
    if (found == manifest.auth.end()) return {};
    const auto& auth = *found;
    vault::NewConnection wanted{manifest.id, "my " + manifest.id, auth.id, {}};
    for (const auto& field : auth.fields) wanted.fields[field] = Secret(std::string(kToken));
    auto made = connections.create(user_, std::move(wanted));
    if (!made) return std::unexpected(made.error());
    return {};
  }

  Result<> import() {
    if (options_.flow.empty()) return {};
    std::ifstream in(options_.flow);
    const auto flow = json::parse(in, nullptr, false);
    flow_ = flow.is_object() ? flow.value("name", "") : "";
    const Output quiet(false);
    return import_flow(Context{config_, quiet, ""}, options_.flow);
  }

  // Beside the host, on a thread of its own.
  void accompany() {
    std::string port;
    while (!ended_ && port.empty()) {
      std::ifstream(config_.port_file) >> port;
      std::this_thread::sleep_for(20ms);
    }
    if (ended_) return;
    const Remote here{"http://127.0.0.1:" + port, api_key_};
    std::cout << fmt::format("\nPatchbay is at {}   API key {}\n", here.url, api_key_);
    for (const auto& [name, url] : urls_.items()) std::cout << fmt::format("  {:<8} simulated at {}\n", name, url.get<std::string>());
    for (const auto& file : options_.plugins) std::cout << fmt::format("  {} is loaded again whenever it changes\n", file);
    std::cout << std::endl;
    const Output output(false);
    if (!flow_.empty()) {
      if (auto activated = switch_flow(output, here, flow_, "activate"); !activated) output.failed(activated.error());
    }
    auto database = open_database(config_);
    if (!database) return;
    RunPrinter runs(**database, user_);
    Mirror mirror(options_.plugins, config_.plugin_folder);
    while (!ended_) {
      mirror.look();
      runs.look();
      std::this_thread::sleep_for(100ms);
    }
  }

  const Context& context_;
  DevOptions options_;
  Config config_;
  TemporaryFolder folder_;
  Simulators simulators_;
  json urls_;
  UserId user_;
  std::string api_key_;
  std::string flow_;
  std::atomic<bool> ended_{false};
};

}  // namespace

Result<> develop(const Context& context, const DevOptions& options) {
  Workshop workshop(context, options);
  if (auto prepared = workshop.prepare(); !prepared) return prepared;
  return workshop.run();
}

}  // namespace patchbay::app
