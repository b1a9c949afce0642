#include "vault/keys/transit_keys.hpp"

#include <charconv>
#include <cstdlib>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "vault/keys/blocking_http.hpp"

namespace patchbay::vault {
namespace {

using nlohmann::json;

constexpr std::size_t kBatch = 500;
constexpr const char* kTokenVariable = "PATCHBAY_VAULT_TRANSIT_TOKEN";

bool is_near(std::string_view url) {
  for (const std::string_view host : {"http://127.0.0.1", "http://localhost", "http://[::1]"}) {
    if (url.starts_with(host) && (url.size() == host.size() || url[host.size()] == ':' || url[host.size()] == '/')) return true;
  }
  return false;
}

bool is_name(std::string_view text) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./";
  return !text.empty() && text.find_first_not_of(kAllowed) == std::string_view::npos && text.find("..") == std::string_view::npos;
}

// "v3" -> 3. 0: it is none.
int version_in(std::string_view text) {
  int version = 0;
  if (!text.starts_with('v')) return 0;
  const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), version);
  return error == std::errc{} && end == text.data() + text.size() ? version : 0;
}

// {"plaintext": "..."} of one answer. The copies in the JSON are overwritten.
Result<Secret> plaintext_of(json& item) {
  if (const auto error = item.find("error"); error != item.end() && error->is_string() && *error != "") {
    return fail(Errc::denied, "transit does not decrypt it: " + error->get<std::string>());
  }
  const auto text = item.find("plaintext");
  if (text == item.end() || !text->is_string()) return fail(Errc::unavailable, "transit answers without a plaintext");
  auto& digits = text->get_ref<std::string&>();
  auto bytes = from_base64(digits);
  wipe(digits);
  if (!bytes) return fail(Errc::unavailable, "transit answers with something that is no base64");
  return Secret(*std::move(bytes));
}

std::string errors_of(const json& answer) {
  std::string text;
  if (!answer.is_object() || !answer.contains("errors")) return text;
  for (const auto& error : answer["errors"]) text += (text.empty() ? "" : "; ") + (error.is_string() ? error.get<std::string>() : error.dump());
  return text;
}

class TransitKeys final : public KeyProvider {
 public:
  explicit TransitKeys(TransitSettings settings)
      : settings_(std::move(settings)), http_(settings_.ca_file, settings_.timeout) {
    while (settings_.url.ends_with('/')) settings_.url.pop_back();
  }

  [[nodiscard]] std::string_view id() const override { return "transit"; }
  [[nodiscard]] bool is_remote() const override { return true; }
  Result<WrappedKey> wrap(const Secret& data_key, std::string_view additional_data) override;
  std::vector<Result<Secret>> unwrap(std::span<const UnwrapOrder> orders) override;
  Result<std::vector<KeyInfo>> keys() override;
  Result<std::string> rotate() override;
  Result<> drop(std::string_view key_id) override;
  [[nodiscard]] bool drops_older() const override { return true; }

 private:
  // operation: "encrypt/patchbay". Answers of 2xx, and those that hold batch_results.
  Result<json> call(std::string method, const std::string& operation, Secret body);
  Result<Secret> token() const;
  void unwrap_some(std::span<const UnwrapOrder> orders, std::vector<Result<Secret>>& results);

  TransitSettings settings_;
  BlockingHttp http_;
};

// An agent that renews the token writes the file anew.
Result<Secret> TransitKeys::token() const {
  std::string text;
  if (settings_.token_file.empty()) {
    const char* value = std::getenv(kTokenVariable);
    text = value == nullptr ? "" : value;
  } else {
    std::ifstream in(settings_.token_file);
    std::getline(in, text);
  }
  while (!text.empty() && (text.back() == '\r' || text.back() == ' ')) text.pop_back();
  if (!text.empty()) return Secret(std::move(text));
  return fail(Errc::unavailable, fmt::format("there is no token for transit: write it into {}", settings_.token_file.empty() ? kTokenVariable : settings_.token_file));
}

Result<json> TransitKeys::call(std::string method, const std::string& operation, Secret body) {
  auto token = this->token();
  if (!token) return std::unexpected(token.error());
  BlockingRequest request{std::move(method), fmt::format("{}/v1/{}/{}", settings_.url, settings_.mount, operation), {}, std::move(body)};
  request.headers.emplace_back("X-Vault-Token", *std::move(token));
  request.headers.emplace_back("X-Vault-Request", Secret(std::string("true")));
  request.headers.emplace_back("Content-Type", Secret(std::string("application/json")));
  if (!settings_.name_space.empty()) request.headers.emplace_back("X-Vault-Namespace", Secret(settings_.name_space));
  const auto reply = http_.send(request);
  if (!reply) return fail(reply.error().code, fmt::format("transit at {}: {}", settings_.url, reply.error().message));
  auto answer = json::parse(reply->body.reveal(), nullptr, false);
  if (answer.is_object() && answer.contains("data") && answer["data"].is_object() && answer["data"].contains("batch_results")) return answer;
  if (reply->status / 100 == 2) return answer;
  // 400: it looked and says no. 403 (token), 404 (no such key), 429, 5xx (sealed, standby) are about us or its state.
  return fail(reply->status == 400 ? Errc::denied : Errc::unavailable,
              fmt::format("transit at {} answers {} to {}: {}", settings_.url, reply->status, operation, errors_of(answer)));
}

Result<WrappedKey> TransitKeys::wrap(const Secret& data_key, std::string_view additional_data) {
  auto plaintext = to_base64(data_key.reveal());
  Secret body(fmt::format(R"({{"plaintext":"{}","associated_data":"{}"}})", plaintext, to_base64(additional_data)));
  wipe(plaintext);
  const auto answer = call("POST", "encrypt/" + settings_.key, std::move(body));
  if (!answer) return std::unexpected(answer.error());
  // "vault:v3:…"
  const auto ciphertext = answer->value(json::json_pointer("/data/ciphertext"), std::string());
  const auto colon = ciphertext.find(':', 6);
  if (!ciphertext.starts_with("vault:") || colon == std::string::npos || version_in(ciphertext.substr(6, colon - 6)) == 0) {
    return fail(Errc::unavailable, "transit answers without a ciphertext");
  }
  return WrappedKey{ciphertext.substr(6, colon - 6), ciphertext};
}

std::vector<Result<Secret>> TransitKeys::unwrap(std::span<const UnwrapOrder> orders) {
  std::vector<Result<Secret>> results;
  results.reserve(orders.size());
  for (std::size_t at = 0; at < orders.size(); at += kBatch) unwrap_some(orders.subspan(at, std::min(kBatch, orders.size() - at)), results);
  return results;
}

void TransitKeys::unwrap_some(std::span<const UnwrapOrder> orders, std::vector<Result<Secret>>& results) {
  json input = json::array();
  for (const auto& order : orders) {
    const std::string ciphertext(order.bytes);
    const bool right = ciphertext.starts_with(fmt::format("vault:{}:", order.key_id));
    // An item that cannot be right would be a bad request and stop the others: what is sent for it cannot be opened, and is well-formed.
    input.push_back({{"ciphertext", right ? ciphertext : "vault:v1:" + to_base64(std::string(28, '\0'))}, {"associated_data", to_base64(order.additional_data)}});
  }
  auto answer = call("POST", "decrypt/" + settings_.key,
                     Secret(json{{"batch_input", std::move(input)}}.dump(-1, ' ', false, json::error_handler_t::replace)));
  if (!answer) {
    results.insert(results.end(), orders.size(), std::unexpected(answer.error()));
    return;
  }
  auto& items = (*answer)["data"]["batch_results"];
  const bool whole = items.is_array() && items.size() == orders.size();
  for (std::size_t i = 0; i < orders.size(); ++i) {
    if (whole && items[i].is_object()) results.push_back(plaintext_of(items[i]));
    else results.push_back(fail(Errc::unavailable, "transit did not answer to all that it was asked"));
  }
}

Result<std::vector<KeyInfo>> TransitKeys::keys() {
  const auto answer = call("GET", "keys/" + settings_.key, Secret());
  if (!answer) return std::unexpected(answer.error());
  const auto latest = answer->value(json::json_pointer("/data/latest_version"), 0);
  const auto first = answer->value(json::json_pointer("/data/min_decryption_version"), 1);
  if (latest <= 0) return fail(Errc::unavailable, "transit answers without versions of its key");
  std::vector<KeyInfo> keys;
  for (int version = 1; version <= latest; ++version) {
    keys.push_back({fmt::format("v{}", version), version == latest ? KeyState::active : version < first ? KeyState::dropped : KeyState::readable});
  }
  return keys;
}

Result<std::string> TransitKeys::rotate() {
  if (auto done = call("POST", fmt::format("keys/{}/rotate", settings_.key), Secret()); !done) return std::unexpected(done.error());
  const auto present = keys();
  if (!present) return std::unexpected(present.error());
  return present->back().id;
}

// All versions up to this one: that is how the engine counts.
Result<> TransitKeys::drop(std::string_view key_id) {
  const auto present = keys();
  if (!present) return std::unexpected(present.error());
  const auto version = version_in(key_id);
  if (version < 1 || version > static_cast<int>(present->size())) return fail(Errc::not_found, fmt::format("there is no key '{}'", key_id));
  if (present->back().id == key_id) return fail(Errc::conflict, fmt::format("key '{}' seals: `patchbay keys rotate` first", key_id));
  auto done = call("POST", fmt::format("keys/{}/config", settings_.key), Secret(fmt::format(R"({{"min_decryption_version":{}}})", version + 1)));
  if (!done) return std::unexpected(done.error());
  return {};
}

}  // namespace

Result<std::unique_ptr<KeyProvider>> make_transit_keys(const TransitSettings& settings) {
  if (!settings.url.starts_with("https://") && !is_near(settings.url)) {
    return fail(Errc::invalid, "vault.transit.url must begin with https:// (http:// only to this machine), not '" + settings.url + "'");
  }
  if (!is_name(settings.mount) || !is_name(settings.key)) return fail(Errc::invalid, "vault.transit.mount and vault.transit.key are names of letters, digits and - _ . /");
  return std::make_unique<TransitKeys>(settings);
}

}  // namespace patchbay::vault
