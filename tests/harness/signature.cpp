#include "harness/signature.hpp"

#include <openssl/evp.h>

#include <array>

#include "core/bytes.hpp"

namespace patchbay::harness {
namespace {

using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;
using Digest = std::array<unsigned char, 32>;

Context begin_digest(std::string_view bytes) {
  Context context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
  EVP_DigestUpdate(context.get(), bytes.data(), bytes.size());
  return context;
}

Digest end_digest(EVP_MD_CTX* context) {
  Digest digest{};
  EVP_DigestFinal_ex(context, digest.data(), nullptr);
  return digest;
}

std::string_view view(const Digest& digest) { return {reinterpret_cast<const char*>(digest.data()), digest.size()}; }

// RFC 2104: the key, hashed when longer than a block, filled up with zeros, each byte xor pad.
std::string padded_key(std::string_view key, char pad) {
  std::string block(key);
  if (block.size() > 64) block = view(end_digest(begin_digest(key).get()));
  block.resize(64, '\0');
  for (char& c : block) c = static_cast<char>(c ^ pad);
  return block;
}

}  // namespace

struct Signer::Impl {
  Context inner;
  Context outer;
  Context scratch{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
};

Signer::Signer(std::string_view key, std::string_view prefix)
    : impl_(new Impl{.inner = begin_digest(padded_key(key, 0x36)), .outer = begin_digest(padded_key(key, 0x5c))}) {
  EVP_DigestUpdate(impl_->inner.get(), prefix.data(), prefix.size());
}

Signer::~Signer() = default;
Signer::Signer(Signer&&) noexcept = default;

std::string Signer::hex(std::string_view tail) const {
  EVP_MD_CTX* scratch = impl_->scratch.get();
  EVP_MD_CTX_copy_ex(scratch, impl_->inner.get());
  EVP_DigestUpdate(scratch, tail.data(), tail.size());
  const Digest inner = end_digest(scratch);
  EVP_MD_CTX_copy_ex(scratch, impl_->outer.get());
  EVP_DigestUpdate(scratch, inner.data(), inner.size());
  return to_hex(view(end_digest(scratch)));
}

std::string github_signature(std::string_view secret, std::string_view body) {
  return "sha256=" + Signer(secret).hex(body);
}

}  // namespace patchbay::harness
