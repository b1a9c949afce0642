#include "vault/keys/pkcs11_token.hpp"

#include <algorithm>
#include <array>
#include <fstream>

#include <fmt/format.h>

#include "vault/aead.hpp"
#include "vault/keys/pkcs11_module.hpp"

namespace patchbay::vault {
namespace {

constexpr CK_ULONG kMostKeys = 256;

unsigned char* raw(std::string_view bytes) { return reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data())); }

CK_ATTRIBUTE text(CK_ATTRIBUTE_TYPE type, std::string_view value) { return {type, raw(value), value.size()}; }
template <class Value>
CK_ATTRIBUTE fixed(CK_ATTRIBUTE_TYPE type, Value& value) {
  return {type, &value, sizeof value};
}

std::unexpected<Error> away(std::string_view what, CK_RV code) {
  return fail(Errc::unavailable, fmt::format("the PKCS#11 token does not {}: {:#x}", what, code));
}

// Ids are numbers, big end first: those of this program are long, so they are greater than any made by hand.
bool is_smaller(std::string_view a, std::string_view b) { return a.size() != b.size() ? a.size() < b.size() : a < b; }

CK_GCM_PARAMS parameters(std::string_view nonce, std::string_view additional_data) {
  return {raw(nonce), kNonceBytes, kNonceBytes * 8, raw(additional_data), additional_data.size(), kTagBytes * 8};
}

Result<Secret> read_pin(const std::string& file) {
  std::ifstream in(file);
  std::string pin;
  std::getline(in, pin);
  if (!pin.empty()) return Secret(std::move(pin));
  return fail(Errc::unavailable, "vault.pkcs11.pin_file " + file + " holds no PIN");
}

}  // namespace

struct Pkcs11Token::Impl {
  std::shared_ptr<Pkcs11Module> module;
  std::string label;  // of the keys
  CK_SLOT_ID slot = 0;
  CK_SESSION_HANDLE session = 0;

  ~Impl() {
    if (session != 0) module->call().C_CloseSession(session);
  }

  Result<> find_token(const std::string& wanted);
  Result<> log_in(const Secret& pin);
  Result<std::vector<CK_OBJECT_HANDLE>> objects();
  // In a session of its own that may write.
  template <class Work>
  Result<> write(std::string_view what, Work work);
  // After a refusal: whether the token is still there.
  [[nodiscard]] bool is_there() {
    CK_SESSION_INFO info{};
    CK_TOKEN_INFO token{};
    return module->call().C_GetSessionInfo(session, &info) == CKR_OK && module->call().C_GetTokenInfo(slot, &token) == CKR_OK;
  }
};

Pkcs11Token::Pkcs11Token(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Pkcs11Token::~Pkcs11Token() = default;

Result<std::unique_ptr<Pkcs11Token>> Pkcs11Token::open(const Pkcs11Settings& settings) {
  auto module = Pkcs11Module::load(settings.module);
  if (!module) return std::unexpected(module.error());
  auto impl = std::make_unique<Impl>();
  impl->module = *std::move(module);
  impl->label = settings.key;
  const auto pin = read_pin(settings.pin_file);
  if (!pin) return std::unexpected(pin.error());
  if (auto found = impl->find_token(settings.token); !found) return std::unexpected(found.error());
  if (auto in = impl->log_in(*pin); !in) return std::unexpected(in.error());
  return std::unique_ptr<Pkcs11Token>(new Pkcs11Token(std::move(impl)));
}

Result<> Pkcs11Token::Impl::find_token(const std::string& wanted) {
  std::array<CK_SLOT_ID, 64> slots{};
  CK_ULONG count = slots.size();
  if (const auto code = module->call().C_GetSlotList(CK_TRUE, slots.data(), &count); code != CKR_OK) return away("say its slots", code);
  for (CK_ULONG i = 0; i < count; ++i) {
    CK_TOKEN_INFO info{};
    if (module->call().C_GetTokenInfo(slots[i], &info) != CKR_OK) continue;
    std::string_view name(reinterpret_cast<const char*>(info.label), sizeof info.label);
    name = name.substr(0, name.find_last_not_of(' ') + 1);
    if (name != wanted) continue;
    slot = slots[i];
    return {};
  }
  return fail(Errc::unavailable, "there is no PKCS#11 token '" + wanted + "'");
}

Result<> Pkcs11Token::Impl::log_in(const Secret& pin) {
  auto code = module->call().C_OpenSession(slot, CKF_SERIAL_SESSION, nullptr, nullptr, &session);
  if (code != CKR_OK) return away("open a session", code);
  code = module->call().C_Login(session, CKU_USER, raw(pin.reveal()), pin.reveal().size());
  if (code != CKR_OK && code != CKR_USER_ALREADY_LOGGED_IN) return away("let us in", code);
  return {};
}

Result<std::vector<CK_OBJECT_HANDLE>> Pkcs11Token::Impl::objects() {
  CK_OBJECT_CLASS kind = CKO_SECRET_KEY;
  CK_KEY_TYPE type = CKK_AES;
  std::array wanted{fixed(CKA_CLASS, kind), fixed(CKA_KEY_TYPE, type), text(CKA_LABEL, label)};
  auto code = module->call().C_FindObjectsInit(session, wanted.data(), wanted.size());
  if (code != CKR_OK) return away("look for keys", code);
  std::vector<CK_OBJECT_HANDLE> found(kMostKeys);
  CK_ULONG count = 0;
  code = module->call().C_FindObjects(session, found.data(), found.size(), &count);
  module->call().C_FindObjectsFinal(session);
  if (code != CKR_OK) return away("find keys", code);
  found.resize(count);
  return found;
}

Result<std::vector<TokenKey>> Pkcs11Token::keys() {
  const auto objects = impl_->objects();
  if (!objects) return std::unexpected(objects.error());
  std::vector<TokenKey> keys;
  for (const auto object : *objects) {
    std::array<char, 64> id{};
    CK_ATTRIBUTE attribute{CKA_ID, id.data(), id.size()};
    const auto code = impl_->module->call().C_GetAttributeValue(impl_->session, object, &attribute, 1);
    if (code != CKR_OK) return away("say a key's id", code);
    keys.push_back({std::string(id.data(), attribute.ulValueLen), object});
  }
  std::sort(keys.begin(), keys.end(), [](const auto& a, const auto& b) { return is_smaller(a.id, b.id); });
  return keys;
}

Result<std::string> Pkcs11Token::encrypt(const TokenKey& key, std::string_view additional_data, std::string_view plain) {
  auto sealed = random_bytes(kNonceBytes);
  sealed.resize(kNonceBytes + plain.size() + kTagBytes);
  auto gcm = parameters(std::string_view(sealed).substr(0, kNonceBytes), additional_data);
  CK_MECHANISM mechanism{CKM_AES_GCM, &gcm, sizeof gcm};
  CK_ULONG length = sealed.size() - kNonceBytes;
  auto& call = impl_->module->call();
  auto code = call.C_EncryptInit(impl_->session, &mechanism, key.handle);
  if (code == CKR_OK) code = call.C_Encrypt(impl_->session, raw(plain), plain.size(), raw(std::string_view(sealed).substr(kNonceBytes)), &length);
  if (code != CKR_OK) return away("encrypt", code);
  if (length != sealed.size() - kNonceBytes) return fail(Errc::unavailable, "the PKCS#11 token does not make tags of 16 bytes");
  return sealed;
}

Result<Secret> Pkcs11Token::decrypt(const TokenKey& key, std::string_view additional_data, std::string_view sealed) {
  if (sealed.size() < kNonceBytes + kTagBytes) return fail(Errc::denied, "the wrapped key is cut short");
  const auto nonce = sealed.substr(0, kNonceBytes);
  const auto ciphertext = sealed.substr(kNonceBytes);
  auto gcm = parameters(nonce, additional_data);
  CK_MECHANISM mechanism{CKM_AES_GCM, &gcm, sizeof gcm};
  auto& call = impl_->module->call();
  auto code = call.C_DecryptInit(impl_->session, &mechanism, key.handle);
  if (code != CKR_OK) return away("decrypt", code);
  // Some want room for the tag too.
  CK_ULONG length = ciphertext.size();
  auto room = Secret::filled(ciphertext.size(), [&](char* into) {
    code = call.C_Decrypt(impl_->session, raw(ciphertext), ciphertext.size(), reinterpret_cast<unsigned char*>(into), &length);
  });
  if (code == CKR_OK && length == ciphertext.size() - kTagBytes) {
    return Secret::filled(length, [&](char* into) { room.reveal().copy(into, length); });
  }
  // Modules do not agree on what a wrong tag is called.
  if (impl_->is_there()) return fail(Errc::denied, "the PKCS#11 token does not decrypt it: it was changed, or belongs to something else");
  return away("decrypt", code);
}

template <class Work>
Result<> Pkcs11Token::Impl::write(std::string_view what, Work work) {
  CK_SESSION_HANDLE writing = 0;
  auto code = module->call().C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &writing);
  if (code == CKR_OK) code = work(writing);
  if (writing != 0) module->call().C_CloseSession(writing);
  if (code != CKR_OK) return away(what, code);
  return {};
}

Result<> Pkcs11Token::generate(const std::string& id) {
  CK_BBOOL yes = CK_TRUE;
  CK_BBOOL no = CK_FALSE;
  CK_ULONG size = kKeyBytes;
  std::array wanted{fixed(CKA_TOKEN, yes),     fixed(CKA_PRIVATE, yes), fixed(CKA_SENSITIVE, yes),
                    fixed(CKA_EXTRACTABLE, no), fixed(CKA_ENCRYPT, yes), fixed(CKA_DECRYPT, yes),
                    fixed(CKA_VALUE_LEN, size), text(CKA_ID, id),        text(CKA_LABEL, impl_->label)};
  return impl_->write("make a key", [&](CK_SESSION_HANDLE session) {
    CK_MECHANISM mechanism{CKM_AES_KEY_GEN, nullptr, 0};
    CK_OBJECT_HANDLE made = 0;
    return impl_->module->call().C_GenerateKey(session, &mechanism, wanted.data(), wanted.size(), &made);
  });
}

Result<> Pkcs11Token::destroy(const std::string& id) {
  const auto present = keys();
  if (!present) return std::unexpected(present.error());
  for (const auto& key : *present) {
    if (key.id != id) continue;
    return impl_->write("destroy a key", [&](CK_SESSION_HANDLE session) { return impl_->module->call().C_DestroyObject(session, key.handle); });
  }
  return fail(Errc::not_found, "there is no such key");
}

}  // namespace patchbay::vault
