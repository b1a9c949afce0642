#include "plugin/trust.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <sodium.h>

namespace patchbay::plugin {
namespace {

constexpr std::size_t kLongestSignature = 1024;

const unsigned char* raw(std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  return text;
}

// nullopt unless it is base64 of so many bytes.
std::optional<std::string> decoded(std::string_view text, std::size_t size) {
  auto bytes = from_base64(trimmed(text));
  if (bytes && bytes->size() != size) bytes.reset();
  return bytes;
}

Result<> check_signature(const Trust& trust, const std::string& file, std::string_view bytes) {
  std::ifstream in(file + ".sig", std::ios::binary);
  std::string text(kLongestSignature, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.empty()) {
    return fail(Errc::denied, "it is not signed, and plugins.trust is signed: there is no " + file + ".sig");
  }
  const auto signature = decoded(text, crypto_sign_BYTES);
  if (!signature) return fail(Errc::denied, file + ".sig holds no Ed25519 signature in base64");
  const bool good = std::any_of(trust.keys.begin(), trust.keys.end(), [&](const std::string& key) {
    const auto known = decoded(key, crypto_sign_PUBLICKEYBYTES);
    return known && crypto_sign_verify_detached(raw(*signature), raw(bytes), bytes.size(), raw(*known)) == 0;
  });
  if (good) return {};
  return fail(Errc::denied, "its signature is of none of plugins.trusted_keys, or the file was changed after it was signed");
}

}  // namespace

Result<> check_trust(const Trust& trust, const std::string& file, std::string_view bytes, std::string_view sha256) {
  switch (trust.level) {
    case TrustLevel::any:
      return {};
    case TrustLevel::signed_files:
      return check_signature(trust, file, bytes);
    case TrustLevel::listed:
      break;
  }
  if (std::find(trust.digests.begin(), trust.digests.end(), sha256) != trust.digests.end()) return {};
  return fail(Errc::denied, fmt::format("its SHA-256 is not in plugins.digests: {}", sha256));
}

Result<> check_settings(const Trust& trust) {
  for (const auto& digest : trust.digests) {
    const auto bytes = from_hex(digest);
    const bool lower = std::none_of(digest.begin(), digest.end(), [](char c) { return c >= 'A' && c <= 'F'; });
    if (!bytes || bytes->size() != crypto_hash_sha256_BYTES || !lower) {
      return fail(Errc::invalid, fmt::format("plugins.digests: '{}' is no SHA-256 of 64 lower-case hex digits", digest));
    }
  }
  for (const auto& key : trust.keys) {
    if (!decoded(key, crypto_sign_PUBLICKEYBYTES)) {
      return fail(Errc::invalid, fmt::format("plugins.trusted_keys: '{}' is no Ed25519 public key in base64", key));
    }
  }
  if (trust.level == TrustLevel::listed && trust.digests.empty()) {
    return fail(Errc::invalid, "plugins.trust is listed, but plugins.digests names no file");
  }
  if (trust.level == TrustLevel::signed_files && trust.keys.empty()) {
    return fail(Errc::invalid, "plugins.trust is signed, but plugins.trusted_keys names no key");
  }
  return {};
}

SigningKey make_signing_key() {
  std::string seed = random_bytes(crypto_sign_SEEDBYTES);
  auto made = read_signing_key(to_base64(seed));
  wipe(seed);
  return *std::move(made);
}

Result<SigningKey> read_signing_key(std::string_view text) {
  auto seed = decoded(text, crypto_sign_SEEDBYTES);
  if (!seed) return fail(Errc::invalid, "this is no signing key: `patchbay plugin keygen FILE` makes one");
  std::array<unsigned char, crypto_sign_PUBLICKEYBYTES> half{};
  std::string whole(crypto_sign_SECRETKEYBYTES, '\0');
  crypto_sign_seed_keypair(half.data(), reinterpret_cast<unsigned char*>(whole.data()), raw(*seed));
  wipe(whole);
  SigningKey key{Secret(to_base64(*seed)), to_base64({reinterpret_cast<const char*>(half.data()), half.size()})};
  wipe(*seed);
  return key;
}

std::string sign(const SigningKey& key, std::string_view bytes) {
  auto seed = from_base64(key.secret.reveal()).value_or(std::string(crypto_sign_SEEDBYTES, '\0'));
  std::array<unsigned char, crypto_sign_PUBLICKEYBYTES> half{};
  std::array<unsigned char, crypto_sign_SECRETKEYBYTES> whole{};
  std::array<unsigned char, crypto_sign_BYTES> signature{};
  crypto_sign_seed_keypair(half.data(), whole.data(), raw(seed));
  crypto_sign_detached(signature.data(), nullptr, raw(bytes), bytes.size(), whole.data());
  sodium_memzero(whole.data(), whole.size());
  wipe(seed);
  return to_base64({reinterpret_cast<const char*>(signature.data()), signature.size()}) + "\n";
}

}  // namespace patchbay::plugin
