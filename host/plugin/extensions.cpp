// The extensions of the host: patchbay.json/1 and patchbay.crypto/1.
#include <array>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "core/bytes.hpp"
#include "plugin/instance.hpp"
#include "plugin/text.hpp"

namespace patchbay::plugin {
namespace {

bool misplaced(Instance& instance) {
  if (instance.in_call()) return false;
  instance.violation("host functions are called in a call", "an extension from outside");
  return true;
}

pbay_status json_get(const pbay_host* host, pbay_str json, pbay_str pointer, pbay_str* value) {
  auto& instance = Instance::of(host);
  *value = {nullptr, 0};
  if (misplaced(instance)) return PBAY_E_CLOSED;
  const auto document = instance.parsed(view(json));
  if (!document) return PBAY_E_ARG;
  const auto found = document->root().at_pointer(view(pointer));
  if (!found.exists()) return PBAY_E_GONE;
  // Strings are handed out where they are; the document lives until the plugin returns.
  *value = found.type() == JsonType::string ? raw(found.string()) : instance.keep(found.to_string());
  return PBAY_OK;
}

pbay_status json_quote_text(const pbay_host* host, pbay_str text, pbay_str* json) {
  auto& instance = Instance::of(host);
  *json = {nullptr, 0};
  if (misplaced(instance)) return PBAY_E_CLOSED;
  *json = instance.keep(json_quote(view(text)));
  return PBAY_OK;
}

std::uint32_t type_of(JsonView value) {
  switch (value.type()) {
    case JsonType::null:
      return value.exists() ? PBAY_JSON_NULL : PBAY_JSON_NONE;
    case JsonType::boolean:
      return PBAY_JSON_BOOLEAN;
    case JsonType::integer:
    case JsonType::number:
      return PBAY_JSON_NUMBER;
    case JsonType::string:
      return PBAY_JSON_STRING;
    case JsonType::array:
      return PBAY_JSON_ARRAY;
    case JsonType::object:
      return PBAY_JSON_OBJECT;
  }
  return PBAY_JSON_NONE;
}

pbay_status json_type(const pbay_host* host, pbay_str json, pbay_str pointer, std::uint32_t* type,
                      std::uint64_t* count) {
  auto& instance = Instance::of(host);
  *type = PBAY_JSON_NONE;
  *count = 0;
  if (misplaced(instance)) return PBAY_E_CLOSED;
  const auto document = instance.parsed(view(json));
  if (!document) return PBAY_E_ARG;
  const auto found = document->root().at_pointer(view(pointer));
  *type = type_of(found);
  *count = found.size();
  return PBAY_OK;
}

pbay_status hmac_sha256(const pbay_host* host, pbay_str key, pbay_str data, std::uint8_t mac[32]) {
  auto& instance = Instance::of(host);
  if (misplaced(instance)) return PBAY_E_CLOSED;
  const auto* secret = instance.secret_of(view(key));
  const auto bytes = secret == nullptr ? view(key) : secret->reveal();
  unsigned int length = 32;
  const auto* made = HMAC(EVP_sha256(), bytes.data(), static_cast<int>(bytes.size()),
                          reinterpret_cast<const unsigned char*>(view(data).data()), data.len, mac, &length);
  return made == nullptr ? PBAY_E_INTERNAL : PBAY_OK;
}

pbay_status equal(const pbay_host*, pbay_str a, pbay_str b) {
  return equal_in_constant_time(view(a), view(b)) ? PBAY_OK : PBAY_E_REJECTED;
}

pbay_status ed25519_verify(const pbay_host*, const std::uint8_t key[32], const std::uint8_t signature[64],
                           pbay_str data) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> public_key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key, 32), EVP_PKEY_free);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (!public_key || !context) return PBAY_E_ARG;
  if (EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, public_key.get()) != 1) return PBAY_E_INTERNAL;
  const auto* bytes = reinterpret_cast<const unsigned char*>(view(data).data());
  return EVP_DigestVerify(context.get(), signature, 64, bytes, data.len) == 1 ? PBAY_OK : PBAY_E_REJECTED;
}

pbay_status base64_decode(const pbay_host* host, pbay_str text, pbay_str* bytes) {
  auto& instance = Instance::of(host);
  *bytes = {nullptr, 0};
  if (misplaced(instance)) return PBAY_E_CLOSED;
  auto decoded = from_base64(view(text));
  if (!decoded) return PBAY_E_ARG;
  *bytes = instance.keep(*std::move(decoded));
  return PBAY_OK;
}

constexpr pbay_ext_json kJson{sizeof(pbay_ext_json), 0, json_get, json_quote_text, json_type};
constexpr pbay_ext_crypto kCrypto{sizeof(pbay_ext_crypto), 0, hmac_sha256, equal, ed25519_verify, base64_decode};

}  // namespace

const void* extension_table(std::string_view id) {
  if (id == PBAY_EXT_JSON) return &kJson;
  if (id == PBAY_EXT_CRYPTO) return &kCrypto;
  return nullptr;
}

}  // namespace patchbay::plugin
