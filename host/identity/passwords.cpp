#include "identity/passwords.hpp"

#include <algorithm>

#include <sodium.h>

#include "core/json.hpp"

namespace patchbay::identity {
namespace {

constexpr std::size_t kFewest = 8;
constexpr std::size_t kMost = 128;  // a limit on the work that a request can ask for

}  // namespace

Passwords::Passwords(std::size_t memory_kib, int passes)
    : memory_bytes_(std::max<std::size_t>(memory_kib * 1024, crypto_pwhash_MEMLIMIT_MIN)),
      passes_(static_cast<unsigned long long>(std::max(passes, 1))) {}

Result<> Passwords::check(const Secret& password) {
  const auto text = password.reveal();
  if (!is_valid_utf8(text)) return fail(Errc::invalid, "the password is not UTF-8");
  const auto characters = static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
  if (characters < kFewest || characters > kMost) return fail(Errc::invalid, "a password has 8 to 128 characters");
  return {};
}

Result<std::string> Passwords::hash(const Secret& password) const {
  std::string out(crypto_pwhash_STRBYTES, '\0');
  const auto text = password.reveal();
  if (crypto_pwhash_str_alg(out.data(), text.data(), text.size(), passes_, memory_bytes_,
                            crypto_pwhash_ALG_ARGON2ID13) != 0) {
    return fail(Errc::exhausted, "not enough memory to hash a password");
  }
  out.resize(out.find('\0'));
  return out;
}

bool Passwords::verify(const std::string& hash, const Secret& password) const {
  const auto text = password.reveal();
  return crypto_pwhash_str_verify(hash.c_str(), text.data(), text.size()) == 0;
}

bool Passwords::is_outdated(const std::string& hash) const {
  return crypto_pwhash_str_needs_rehash(hash.c_str(), passes_, memory_bytes_) != 0;
}

const std::string& Passwords::dummy() const {
  std::call_once(dummy_made_, [this] {
    if (auto made = hash(Secret(random_bytes(32)))) dummy_ = *std::move(made);
  });
  return dummy_;
}

}  // namespace patchbay::identity
