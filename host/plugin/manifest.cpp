#include "plugin/manifest.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/time.hpp"
#include "plugin/schema.hpp"

namespace patchbay::plugin {
namespace {

using nlohmann::json;

constexpr std::string_view kSchema =
#include "manifest.schema.inc"
    ;

std::optional<Duration> duration_at(const json& object, const char* key) {
  if (!object.contains(key)) return std::nullopt;
  return parse_duration(object[key].get<std::string>());
}

std::string after_colon(const json& text) {
  const auto value = text.get<std::string>();
  return value.substr(value.find(':') + 1);
}

Operation read_operation(const json& from) {
  Operation operation;
  operation.id = from["id"];
  operation.name = from["name"];
  operation.description = from.value("description", "");
  operation.scopes = from.value("scopes", std::vector<std::string>{});
  operation.params = from.value("params", json{{"type", "object"}}).dump();
  operation.output = from.value("output", json{{"type", "object"}}).dump();
  const auto mode = from.value("mode", "webhook");
  operation.mode = mode == "poll" ? TriggerMode::poll : mode == "socket" ? TriggerMode::socket : TriggerMode::webhook;
  operation.every = duration_at(from, "every");
  operation.timeout = duration_at(from, "timeout");
  operation.hidden = from.value("hidden", false);
  operation.idempotent = from.value("idempotent", false);
  operation.degrades = from.value("without_scopes", "block") == "degrade";
  return operation;
}

VerificationScheme read_verification(const json& from) {
  VerificationScheme scheme;
  const auto name = from["scheme"].get<std::string>();
  using Kind = VerificationScheme::Kind;
  scheme.kind = name == "hmac-sha256" ? Kind::hmac_sha256
                : name == "hmac-sha1" ? Kind::hmac_sha1
                : name == "ed25519"   ? Kind::ed25519
                : name == "custom"    ? Kind::custom
                                      : Kind::none;
  scheme.header = from.value("header", "");
  scheme.prefix = from.value("prefix", "");
  scheme.encoding = from.value("encoding", "hex") == "base64" ? VerificationScheme::Encoding::base64
                                                              : VerificationScheme::Encoding::hex;
  scheme.signed_parts = from.value("signed", std::vector<std::string>{"body"});
  if (from.contains("timestamp")) scheme.timestamp_header = after_colon(from["timestamp"]);
  scheme.max_age = duration_at(from, "max_age");
  return scheme;
}

void check_operations(const json& list, const std::string& pointer, std::vector<std::string>& faults) {
  std::set<std::string> ids;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto here = fmt::format("{}/{}", pointer, i);
    const auto id = list[i]["id"].get<std::string>();
    if (!ids.insert(id).second) faults.push_back(fmt::format("{}/id: '{}' stands twice", here, id));
    for (const auto* key : {"params", "output"}) {
      if (!list[i].contains(key)) continue;
      if (auto schema = check_schema(list[i][key].dump()); !schema) {
        faults.push_back(fmt::format("{}/{}: {}", here, key, schema.error().message));
      }
    }
  }
}

// "x-choices" names a reaction of this provider.
void check_choices(const json& list, const std::string& pointer, const std::set<std::string>& reactions, std::vector<std::string>& faults) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto properties = list[i].value("/params/properties"_json_pointer, json::object());
    for (const auto& [name, schema] : properties.items()) {
      if (!schema.is_object() || !schema.contains("x-choices")) continue;
      const auto lister = schema["x-choices"].is_object() ? schema["x-choices"].value("reaction", "") : "";
      if (reactions.contains(lister)) continue;
      faults.push_back(fmt::format("{}/{}/params/properties/{}/x-choices/reaction: there is no reaction '{}'", pointer, i, name, lister));
    }
  }
}

// What a JSON Schema cannot say.
std::vector<std::string> semantic_faults(const json& manifest) {
  std::vector<std::string> faults;
  const auto triggers = manifest.value("triggers", json::array());
  check_operations(triggers, "/triggers", faults);
  check_operations(manifest.value("reactions", json::array()), "/reactions", faults);
  const auto verify = manifest.value("/webhook/verify"_json_pointer, json::object());
  const auto scheme = verify.value("scheme", "none");
  if (scheme != "none" && scheme != "custom" && !verify.contains("header")) {
    faults.push_back(fmt::format("/webhook/verify/header: {} needs the header that carries the signature", scheme));
  }
  if (verify.contains("max_age") && !verify.contains("timestamp")) {
    faults.emplace_back("/webhook/verify/timestamp: max_age needs the header that carries the time");
  }
  for (std::size_t i = 0; i < triggers.size(); ++i) {
    if (triggers[i]["mode"] == "webhook" && verify.empty()) {
      faults.push_back(fmt::format("/webhook/verify: trigger '{}' is a webhook; say how it is proven, or \"none\"",
                                   triggers[i]["id"].get<std::string>()));
    }
  }
  const auto reactions = manifest.value("reactions", json::array());
  std::set<std::string> names;
  for (const auto& reaction : reactions) names.insert(reaction["id"].get<std::string>());
  check_choices(triggers, "/triggers", names, faults);
  check_choices(reactions, "/reactions", names, faults);
  const auto of_auth = auth_faults(manifest.value("auth", json::object()));
  faults.insert(faults.end(), of_auth.begin(), of_auth.end());
  return faults;
}

const Operation* find(const std::vector<Operation>& operations, std::string_view id) {
  for (const auto& operation : operations) {
    if (operation.id == id) return &operation;
  }
  return nullptr;
}

}  // namespace

Result<Manifest> Manifest::parse(std::string_view text) {
  const auto parsed = json::parse(text, nullptr, false);
  if (parsed.is_discarded()) return fail(Errc::invalid, "the manifest is not JSON");
  static const auto schema = *Schema::compile(kSchema);
  auto faults = schema.check(text);
  if (faults.empty()) faults = semantic_faults(parsed);
  if (!faults.empty()) return fail(Errc::invalid, fmt::format("manifest: {}", fmt::join(faults, "; ")));

  Manifest manifest;
  manifest.id = parsed["id"];
  manifest.version = parsed["version"];
  manifest.name = parsed["name"];
  manifest.json = text;
  manifest.base_url = parsed.value("base_url", "");
  if (parsed.contains("state")) {
    manifest.state_version = parsed["state"]["version"];
    manifest.reads_states = parsed["state"].value("reads", std::vector<int>{manifest.state_version});
  }
  const auto http = parsed.value("http", json::object());
  manifest.hosts = http.value("hosts", std::vector<std::string>{});
  manifest.default_headers = http.value("headers", std::map<std::string, std::string>{});
  manifest.auth = read_auth_schemes(parsed.value("auth", json::object()));
  const auto webhook = parsed.value("webhook", json::object());
  if (webhook.contains("verify")) manifest.verification = read_verification(webhook["verify"]);
  if (webhook.contains("delivery_key")) manifest.delivery_key_header = after_colon(webhook["delivery_key"]);
  if (const auto patience = duration_at(webhook, "patience")) manifest.patience = *patience;
  for (const auto& trigger : parsed.value("triggers", json::array()))
    manifest.triggers.push_back(read_operation(trigger));
  for (const auto& reaction : parsed.value("reactions", json::array())) {
    manifest.reactions.push_back(read_operation(reaction));
  }
  return manifest;
}

const Operation* Manifest::trigger(std::string_view id) const { return find(triggers, id); }
const Operation* Manifest::reaction(std::string_view id) const { return find(reactions, id); }

const AuthScheme* Manifest::scheme(std::string_view id_or_type) const {
  auto found = std::ranges::find(auth, id_or_type, &AuthScheme::id);
  if (found == auth.end()) found = std::ranges::find(auth, id_or_type, &AuthScheme::type);
  return found == auth.end() ? nullptr : &*found;
}

}  // namespace patchbay::plugin
