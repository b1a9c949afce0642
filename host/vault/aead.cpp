#include "vault/aead.hpp"

#include <exception>
#include <memory>

#include <openssl/evp.h>

namespace patchbay::vault {
namespace {

using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

unsigned char* raw(char* bytes) { return reinterpret_cast<unsigned char*>(bytes); }
const unsigned char* raw(std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
int length_of(std::string_view bytes) { return static_cast<int>(bytes.size()); }

// Looked for once: OpenSSL 3 would do so at each use, which takes longer than encrypting.
const EVP_CIPHER* cipher() {
  static const EVP_CIPHER* const found = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  return found;
}

}  // namespace

std::string encrypt(const Secret& key, std::string_view additional_data, std::string_view plain) {
  auto sealed = random_bytes(kNonceBytes);
  sealed.resize(kNonceBytes + plain.size() + kTagBytes);
  auto* ciphertext = raw(sealed.data() + kNonceBytes);
  const Context context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  int length = 0;
  const bool done =
      context != nullptr && key.reveal().size() == kKeyBytes &&
      EVP_EncryptInit_ex(context.get(), cipher(), nullptr, raw(key.reveal()), raw(sealed)) == 1 &&
      EVP_EncryptUpdate(context.get(), nullptr, &length, raw(additional_data), length_of(additional_data)) == 1 &&
      EVP_EncryptUpdate(context.get(), ciphertext, &length, raw(plain), length_of(plain)) == 1 &&
      EVP_EncryptFinal_ex(context.get(), ciphertext + length, &length) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, ciphertext + plain.size()) == 1;
  // For want of memory, or of AES in this OpenSSL. An envelope that holds nothing would lose the secret silently.
  if (!done) std::terminate();
  return sealed;
}

Result<Secret> decrypt(const Secret& key, std::string_view additional_data, std::string_view sealed) {
  if (sealed.size() < kNonceBytes + kTagBytes) return fail(Errc::denied, "the envelope is cut short");
  const auto ciphertext = sealed.substr(kNonceBytes, sealed.size() - kNonceBytes - kTagBytes);
  std::string tag(sealed.substr(sealed.size() - kTagBytes));
  const Context context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  bool right = context != nullptr && key.reveal().size() == kKeyBytes;
  auto plain = Secret::filled(ciphertext.size(), [&](char* into) {
    int length = 0;
    right = right && EVP_DecryptInit_ex(context.get(), cipher(), nullptr, raw(key.reveal()), raw(sealed)) == 1 &&
            EVP_DecryptUpdate(context.get(), nullptr, &length, raw(additional_data), length_of(additional_data)) == 1 &&
            EVP_DecryptUpdate(context.get(), raw(into), &length, raw(ciphertext), length_of(ciphertext)) == 1 &&
            EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()) == 1 &&
            EVP_DecryptFinal_ex(context.get(), raw(into) + length, &length) == 1;
  });
  if (!right) return fail(Errc::denied, "the envelope was changed, or belongs to something else");
  return plain;
}

}  // namespace patchbay::vault
