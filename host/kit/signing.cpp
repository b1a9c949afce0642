#include "kit/signing.hpp"

#include <array>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "core/bytes.hpp"

namespace patchbay::kit {
namespace {

using plugin::VerificationScheme;
using Kind = VerificationScheme::Kind;

const unsigned char* unsigned_data(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

void set_header(plugin::WebhookRequest& request, const std::string& name, std::string value) {
  for (auto& [key, old] : request.headers) {
    if (key == name) return void(old = std::move(value));
  }
  request.headers.emplace_back(name, std::move(value));
}

std::string signed_text(const VerificationScheme& scheme, const plugin::WebhookRequest& request) {
  std::string text;
  for (const auto& part : scheme.signed_parts) {
    if (part == "body") {
      text += request.body;
    } else if (part.starts_with("text:")) {
      text += part.substr(5);
    } else {
      const auto name = part.substr(std::string_view("header:").size());
      for (const auto& [key, value] : request.headers) {
        if (key == name) text += value;
      }
    }
  }
  return text;
}

std::string hmac(const EVP_MD* digest, std::string_view key, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> mac{};
  unsigned int length = 0;
  HMAC(digest, key.data(), static_cast<int>(key.size()), unsigned_data(text), text.size(), mac.data(), &length);
  return {reinterpret_cast<const char*>(mac.data()), length};
}

std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_pair(const Secret& secret) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> seed{};
  unsigned int length = 0;
  EVP_Digest(secret.reveal().data(), secret.reveal().size(), seed.data(), &length, EVP_sha256(), nullptr);
  return {EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), 32), EVP_PKEY_free};
}

std::string sign_ed25519(const Secret& secret, std::string_view text) {
  const auto key = key_pair(secret);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  std::string signature(64, '\0');
  std::size_t length = signature.size();
  EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get());
  EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &length, unsigned_data(text), text.size());
  return signature;
}

}  // namespace

void sign_request(const VerificationScheme& scheme, const Secret& secret, Timestamp now,
                  plugin::WebhookRequest& request) {
  if (scheme.kind == Kind::none || scheme.kind == Kind::custom) return;
  if (!scheme.timestamp_header.empty()) {
    set_header(request, scheme.timestamp_header, std::to_string(millis(now) / 1000));
  }
  const auto text = signed_text(scheme, request);
  std::string signature;
  if (scheme.kind == Kind::ed25519) {
    signature = sign_ed25519(secret, text);
  } else {
    signature = hmac(scheme.kind == Kind::hmac_sha256 ? EVP_sha256() : EVP_sha1(), secret.reveal(), text);
  }
  const bool hex = scheme.encoding == VerificationScheme::Encoding::hex;
  set_header(request, scheme.header, scheme.prefix + (hex ? to_hex(signature) : to_base64(signature)));
}

Secret verifying_secret(const VerificationScheme& scheme, const Secret& secret) {
  if (scheme.kind != Kind::ed25519) return secret;
  const auto key = key_pair(secret);
  std::string bytes(32, '\0');
  std::size_t length = bytes.size();
  EVP_PKEY_get_raw_public_key(key.get(), reinterpret_cast<unsigned char*>(bytes.data()), &length);
  return Secret(to_hex(bytes));
}

}  // namespace patchbay::kit
