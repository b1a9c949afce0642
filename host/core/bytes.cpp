#include "core/bytes.hpp"

#include <cstring>

#include <sodium.h>

#include "core/secret_memory.hpp"

namespace patchbay {
namespace {

const unsigned char* unsigned_data(std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

std::string encode_base64(std::string_view bytes, int variant) {
  std::string text(sodium_base64_encoded_len(bytes.size(), variant), '\0');
  sodium_bin2base64(text.data(), text.size(), unsigned_data(bytes), bytes.size(), variant);
  text.pop_back();  // the terminating zero
  return text;
}

}  // namespace

std::string to_hex(std::string_view bytes) {
  std::string text(bytes.size() * 2 + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), unsigned_data(bytes), bytes.size());
  text.pop_back();
  return text;
}

std::optional<std::string> from_hex(std::string_view text) {
  std::string bytes(text.size() / 2, '\0');
  std::size_t length = 0;
  const char* end = nullptr;
  if (text.size() % 2 != 0 ||
      sodium_hex2bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), text.data(), text.size(), nullptr,
                     &length, &end) != 0 ||
      end != text.data() + text.size()) {
    return std::nullopt;
  }
  return bytes;
}

std::string to_base64(std::string_view bytes) { return encode_base64(bytes, sodium_base64_VARIANT_ORIGINAL); }
std::string to_base64url(std::string_view bytes) {
  return encode_base64(bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

std::optional<std::string> from_base64(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  const bool url = text.find_first_of("-_") != std::string_view::npos;
  const int variant = url ? sodium_base64_VARIANT_URLSAFE_NO_PADDING : sodium_base64_VARIANT_ORIGINAL_NO_PADDING;
  std::string bytes(text.size() / 4 * 3 + 3, '\0');
  std::size_t length = 0;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), text.data(), text.size(), nullptr,
                        &length, nullptr, variant) != 0) {
    return std::nullopt;
  }
  bytes.resize(length);
  return bytes;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string random_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  randombytes_buf(bytes.data(), bytes.size());
  return bytes;
}

std::string random_token(std::size_t count) { return to_base64url(random_bytes(count)); }

void Secret::reserve(std::size_t size) {
  bytes_ = allocate_secret(size + 1);
  size_ = size;
  bytes_[size] = '\0';
}

Secret::Secret(std::string value) {
  if (!value.empty()) {
    reserve(value.size());
    std::memcpy(bytes_, value.data(), value.size());
  }
  wipe(value);
}

Secret::Secret(const Secret& other) {
  if (other.empty()) return;
  reserve(other.size_);
  std::memcpy(bytes_, other.bytes_, size_);
}

Secret::~Secret() {
  if (bytes_ != nullptr) free_secret(bytes_, size_ + 1);
}

Secret Secret::random(std::size_t size) {
  return filled(size, [size](char* bytes) { randombytes_buf(bytes, size); });
}

void wipe(std::string& bytes) {
  sodium_memzero(bytes.data(), bytes.size());
  bytes.clear();
}

}  // namespace patchbay
