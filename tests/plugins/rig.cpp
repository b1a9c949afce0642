#include "plugins/rig.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace patchbay::plugins_test {

struct Rig::Credentials : egress::CredentialSource {
  explicit Credentials(std::string given) : value(std::move(given)) {}
  Result<> authorize(egress::HttpRequest& request) override {
    if (!request.connection.is_nil()) request.headers.emplace_back("Authorization", value);
    return {};
  }
  std::string value;
};

Rig::Rig(RigSettings settings)
    : settings_(std::move(settings)),
      folder_("plugin-rig"),
      credentials_(std::make_unique<Credentials>(settings_.credentials)) {
  egress::CurlSettings curl;
  curl.allowed_private_networks = {"127.0.0.0/8"};
  curl.repeats = 0;  // what a test orders to fail, fails
  auto client = egress::make_curl_client(loop_, system_clock(), *credentials_, curl);
  if (!client) throw std::runtime_error(client.error().message);
  client_ = *std::move(client);

  const auto plugins = folder_.path() / "plugins";
  std::filesystem::create_directory(plugins);
  const auto file = settings_.plugin + ".so";
  std::filesystem::copy_file(std::filesystem::path(harness::plugin_folder()) / file, plugins / file);
  plugin::RegistrySettings registry;
  registry.folder = plugins;
  registry.private_folder = folder_.path() / "private";
  registry.providers[settings_.plugin] = {.base_url = settings_.base_url, .allowed_hosts = settings_.allowed_hosts};
  // The same tests with the plugin in a process of its own.
  if (const char* mode = std::getenv("PATCHBAY_TEST_ISOLATION"); mode != nullptr && std::string_view(mode) == "process") {
    registry.isolated = [](const std::string&) { return true; };
    registry.isolation.program = std::string(PATCHBAY_BUILD_DIRECTORY) + "/bin/patchbay-plugin-process";
  }
  registry_ = std::make_unique<plugin::Registry>(loop_, clock, *client_, registry);
  const auto loaded = registry_->load();
  if (!loaded) throw std::runtime_error(loaded.error().message);
  for (const auto& info : registry_->list()) {
    if (!info.loaded) throw std::runtime_error(info.file + ": " + info.failure);
  }
}

Rig::~Rig() { registry_->shut_down(); }

plugin::Call Rig::call(plugin::Verb verb, const std::string& name, const std::string& params) const {
  plugin::Call call;
  call.verb = verb;
  call.name = name;
  call.params = params;
  call.key = "0190aaaa-0000-7000-8000-000000000001:tell";
  if (verb != plugin::Verb::reaction) call.watch = WatchId::make(clock.now());
  if (!settings_.credentials.empty()) call.connection = ConnectionId::make(clock.now());
  call.callback_url = "http://127.0.0.1:9/hooks/test-token";
  call.callback_secret = Secret("the hook's \"secret\"");
  call.deadline = clock.now() + std::chrono::seconds(30);
  return call;
}

plugin::Call Rig::delivery(const std::string& name, const std::string& params, egress::Headers headers,
                           const std::string& body) const {
  auto made = call(plugin::Verb::webhook, name, params);
  auto request = std::make_shared<plugin::WebhookRequest>();
  request->method = "POST";
  request->headers = std::move(headers);
  request->body = body;
  made.request = std::move(request);
  if (auto document = JsonDocument::parse(body)) made.body = *std::move(document);
  return made;
}

plugin::Outcome Rig::run(plugin::Call call) {
  const auto verb = call.verb;
  const bool reacts = verb == plugin::Verb::reaction;
  const auto* operation = reacts ? manifest().reaction(call.name) : manifest().trigger(call.name);
  if (operation == nullptr) throw std::runtime_error("the manifest has no " + call.name);
  check_input(*operation, call);
  const std::string body = call.request ? call.request->body : std::string();
  auto end = run_unchecked(std::move(call));
  check_output(*operation, verb, body, end);
  return end;
}

plugin::Outcome Rig::run_unchecked(plugin::Call call) {
  std::optional<plugin::Outcome> end;
  registry_->provider(settings_.plugin)->begin(std::move(call), [&](plugin::Outcome outcome) {
    end = std::move(outcome);
  });
  if (!loop_.run_until([&] { return end.has_value(); }, std::chrono::seconds(40))) {
    throw std::runtime_error("the task did not end");
  }
  return *std::move(end);
}

void Rig::check_input(const plugin::Operation& operation, const plugin::Call& call) const {
  const auto schema = plugin::Schema::compile(operation.params);
  ASSERT_TRUE(schema) << schema.error().message;
  EXPECT_EQ(schema->check(call.params), std::vector<std::string>()) << call.params;
}

void Rig::check_output(const plugin::Operation& operation, plugin::Verb verb, const std::string& request_body,
                       const plugin::Outcome& outcome) const {
  const auto schema = plugin::Schema::compile(operation.output);
  ASSERT_TRUE(schema) << schema.error().message;
  if (outcome.error) return;
  if (verb == plugin::Verb::reaction) {
    EXPECT_EQ(schema->check(outcome.output), std::vector<std::string>()) << outcome.output;
  }
  for (const auto& event : outcome.events) {
    const auto& data = event.is_request_body ? request_body : event.data;
    EXPECT_EQ(schema->check(data), std::vector<std::string>()) << data;
  }
}

std::string record_file() {
  const char* name = std::getenv("PATCHBAY_RECORD_FILE");
  return name == nullptr ? "" : name;
}

}  // namespace patchbay::plugins_test
