#include "support/transit_server.hpp"

#include <atomic>
#include <map>
#include <mutex>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "support/http_server.hpp"
#include "vault/aead.hpp"

namespace patchbay::support {
namespace {

using nlohmann::json;

Response answer(int status, const json& body) {
  return {.status = status, .headers = {{"Content-Type", "application/json"}}, .body = body.is_null() ? "" : body.dump()};
}
Response refuse(int status, const std::string& why) { return answer(status, {{"errors", {why}}}); }

}  // namespace

struct TransitServer::Impl {
  std::mutex mutex;  // guards versions and oldest
  std::vector<Secret> versions{Secret::random(32)};
  int oldest = 1;
  std::atomic<Trouble> trouble = Trouble::none;
  std::atomic<int> requests = 0;
  HttpServer server{[this](const Request& request, HttpServer::Answer respond) {
    ++requests;
    auto response = handle(request);
    if (trouble == Trouble::silent) response.delay = std::chrono::seconds(20);
    if (trouble == Trouble::hangs_up) response.status = kHangUp;
    respond(std::move(response));
  }};

  Response handle(const Request& request);
  Response encrypt(const json& order);
  json decrypt(const json& order);
};

Response TransitServer::Impl::handle(const Request& request) {
  if (trouble == Trouble::sealed) return refuse(503, "Vault is sealed");
  if (trouble == Trouble::no_token || request.header("x-vault-token") != "s.token") return refuse(403, "permission denied");
  const std::lock_guard lock(mutex);
  const auto order = json::parse(request.body.empty() ? "{}" : request.body, nullptr, false);
  if (order.is_discarded()) return refuse(400, "error parsing JSON");
  const auto what = request.method + " " + request.path;
  if (what == "POST /v1/transit/encrypt/patchbay") return encrypt(order);
  if (what == "POST /v1/transit/decrypt/patchbay") {
    if (!order.contains("batch_input")) {
      const auto item = decrypt(order);
      return item.contains("error") ? refuse(400, item["error"]) : answer(200, {{"data", item}});
    }
    auto results = json::array();
    bool all = true;
    for (const auto& item : order["batch_input"]) {
      results.push_back(decrypt(item));
      all = all && !results.back().contains("error");
    }
    return answer(all ? 200 : 400, {{"data", {{"batch_results", results}}}});
  }
  if (what == "GET /v1/transit/keys/patchbay") {
    return answer(200, {{"data", {{"type", "aes256-gcm96"}, {"latest_version", versions.size()}, {"min_decryption_version", oldest}}}});
  }
  if (what == "POST /v1/transit/keys/patchbay/rotate") {
    versions.push_back(Secret::random(32));
    return answer(204, nullptr);
  }
  if (what == "POST /v1/transit/keys/patchbay/config") {
    oldest = order.value("min_decryption_version", oldest);
    return answer(204, nullptr);
  }
  return refuse(404, "no handler for route");
}

Response TransitServer::Impl::encrypt(const json& order) {
  const auto plain = from_base64(order.value("plaintext", ""));
  const auto bound = from_base64(order.value("associated_data", ""));
  if (!plain || !bound) return refuse(400, "failed to base64-decode plaintext");
  const auto sealed = trouble == Trouble::echoes ? *plain : vault::encrypt(versions.back(), *bound, *plain);
  return answer(200, {{"data", {{"ciphertext", fmt::format("vault:v{}:{}", versions.size(), to_base64(sealed))}, {"key_version", versions.size()}}}});
}

json TransitServer::Impl::decrypt(const json& order) {
  const auto ciphertext = order.value("ciphertext", "");
  const auto bound = from_base64(order.value("associated_data", ""));
  const auto colon = ciphertext.find(':', 6);
  if (!ciphertext.starts_with("vault:v") || colon == std::string::npos || !bound) return {{"error", "invalid ciphertext: no prefix"}};
  const auto version = static_cast<std::size_t>(std::atoi(ciphertext.substr(7, colon - 7).c_str()));
  if (version == 0 || version > versions.size()) return {{"error", "invalid ciphertext: version is too new"}};
  if (version < static_cast<std::size_t>(oldest)) return {{"error", "ciphertext or signature version is disallowed by policy (too old)"}};
  const auto sealed = from_base64(ciphertext.substr(colon + 1));
  if (!sealed) return {{"error", "invalid ciphertext: could not decode base64"}};
  const auto plain = vault::decrypt(versions[version - 1], *bound, *sealed);
  if (!plain) return {{"error", "cipher: message authentication failed"}};
  return {{"plaintext", to_base64(plain->reveal())}};
}

TransitServer::TransitServer() : impl_(std::make_unique<Impl>()) {}
TransitServer::~TransitServer() = default;
std::string TransitServer::url() const { return impl_->server.base_url(); }
void TransitServer::set_trouble(Trouble trouble) { impl_->trouble = trouble; }
int TransitServer::requests() const { return impl_->requests; }

}  // namespace patchbay::support
