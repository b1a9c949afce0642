#include "kit/trial.hpp"

#include <stdlib.h>
#include <time.h>

#include <filesystem>

#include <fmt/format.h>

#include "kit/signing.hpp"

namespace patchbay::kit {
namespace {

constexpr std::string_view kSecret = "the secret of this trial's hook";
constexpr std::string_view kCallback = "https://patchbay.example/hooks/trial";

std::chrono::milliseconds thread_time() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::seconds{used.tv_sec} +
                                                               std::chrono::nanoseconds{used.tv_nsec});
}

}  // namespace

std::string_view trial_secret() { return kSecret; }

Result<plugin::Module> open_plugin(const std::string& file) {
  auto folder = (std::filesystem::temp_directory_path() / "patchbay-kit-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) return fail(Errc::unavailable, "no temporary folder can be made");
  const auto load = [&]() -> Result<plugin::Module> {
    auto copy = plugin::PrivateCopy::make(file, folder, {});
    if (!copy) return std::unexpected(copy.error());
    return plugin::load_module(*copy, plugin::Mapping::kept);
  };
  auto module = load();
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  return module;
}

Trial::Trial(const plugin::Module& module, TrialSettings settings)
    : module_(module), settings_(std::move(settings)), secret_(std::string(kSecret)) {}

Result<std::unique_ptr<Trial>> Trial::create(const plugin::Module& module, TrialSettings settings) {
  std::unique_ptr<Trial> trial(new Trial(module, std::move(settings)));
  const auto& manifest = *module.manifest;
  plugin::InstanceSettings made;
  made.base_url = trial->settings_.base_url.empty() ? manifest.base_url : trial->settings_.base_url;
  auto hosts = manifest.hosts;
  hosts.insert(hosts.end(), trial->settings_.allowed_hosts.begin(), trial->settings_.allowed_hosts.end());
  if (const auto host = host_of(made.base_url); !host.empty()) hosts.push_back(host);
  made.allowed_hosts = std::make_shared<const std::vector<std::string>>(std::move(hosts));
  made.config_json = R"({"settings":)" + trial->settings_.settings_json + "}";
  made.on_violation = [raw = trial.get()](std::string_view rule, std::string_view detail) {
    raw->violations.push_back({std::string(rule), std::string(detail)});
  };
  made.on_log = [raw = trial.get()](std::string_view line) { raw->log.emplace_back(line); };
  auto instance = plugin::Instance::create(trial->time, trial->time, trial->client, module, std::move(made));
  if (!instance) {
    auto error = instance.error();
    for (const auto& line : trial->log) error.message += "; it logged: " + line;
    return std::unexpected(std::move(error));
  }
  trial->instance_ = *std::move(instance);
  return trial;
}

Trial::~Trial() {
  instance_.reset();
  time.run_ready();  // what the client still owes
}

plugin::Call Trial::call(plugin::Verb verb, const std::string& name, const std::string& params) const {
  plugin::Call made;
  made.verb = verb;
  made.name = name;
  made.params = params;
  made.key = "01890000-0000-7000-8000-000000000001:" + name;
  made.state_version = manifest().state_version;
  if (verb != plugin::Verb::reaction) made.watch = WatchId::make(time.now());
  if (settings_.with_connection && !manifest().auth.empty()) made.connection = ConnectionId::make(time.now());
  made.callback_url = kCallback;
  if (verb != plugin::Verb::reaction && verb != plugin::Verb::poll) made.callback_secret = secret_;
  made.deadline = time.now() + std::chrono::seconds{30};
  return made;
}

plugin::Call Trial::delivery(const std::string& name, const std::string& params, plugin::WebhookRequest request,
                             bool sign) const {
  auto made = call(plugin::Verb::webhook, name, params);
  if (sign) sign_request(manifest().verification, secret_, time.now(), request);
  auto shared = std::make_shared<plugin::WebhookRequest>(std::move(request));
  if (auto document = JsonDocument::parse(shared->body)) made.body = *std::move(document);
  made.request = std::move(shared);
  return made;
}

Result<> Trial::verify(const plugin::Call& call) const {
  const auto& scheme = manifest().verification;
  auto verifier = plugin::Verifier::create(scheme, verifying_secret(scheme, secret_));
  if (!verifier) return std::unexpected(verifier.error());
  return verifier->verify(*call.request, time.now());
}

plugin::Provider::TaskId Trial::begin(plugin::Call call, std::shared_ptr<std::optional<plugin::Outcome>> outcome) {
  const auto before = thread_time();
  const auto task = instance_->begin(std::move(call), [outcome](plugin::Outcome end) { *outcome = std::move(end); });
  time.run_ready();
  longest_ = std::max(longest_, thread_time() - before);
  return task;
}

void Trial::cancel(plugin::Provider::TaskId task) {
  instance_->cancel(task);
  time.run_ready();
}

std::optional<plugin::Outcome> Trial::run(plugin::Call call) {
  auto outcome = std::make_shared<std::optional<plugin::Outcome>>();
  const auto limit = call.deadline + std::chrono::seconds{1};
  begin(std::move(call), outcome);
  while (!*outcome && time.step_until(limit)) {
  }
  return *std::move(outcome);
}

}  // namespace patchbay::kit
