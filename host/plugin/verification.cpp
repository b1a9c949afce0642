#include "plugin/verification.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

namespace patchbay::plugin {
namespace {

using Kind = VerificationScheme::Kind;

struct Free {
  void operator()(EVP_MAC* mac) const { EVP_MAC_free(mac); }
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using MacContext = std::unique_ptr<EVP_MAC_CTX, Free>;

const unsigned char* unsigned_data(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

Result<MacContext> keyed_mac(const char* digest, std::string_view key) {
  const std::unique_ptr<EVP_MAC, Free> mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  MacContext context(mac ? EVP_MAC_CTX_new(mac.get()) : nullptr);
  std::string name(digest);
  const std::array<OSSL_PARAM, 2> params{OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name.data(), 0),
                                         OSSL_PARAM_construct_end()};
  if (!context || EVP_MAC_init(context.get(), unsigned_data(key), key.size(), params.data()) != 1) {
    return fail(Errc::internal, "OpenSSL cannot make an HMAC");
  }
  return context;
}

std::optional<std::string_view> header_of(const WebhookRequest& request, std::string_view name) {
  for (const auto& [key, value] : request.headers) {
    if (key == name) return value;
  }
  return std::nullopt;
}

// Hex as the vendors send it: lower case only, so that there is one right form.
std::optional<std::string> decode(std::string_view text, VerificationScheme::Encoding encoding) {
  if (encoding == VerificationScheme::Encoding::base64) return from_base64(text);
  if (std::any_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'F'; })) return std::nullopt;
  return from_hex(text);
}

std::optional<Timestamp> parse_time(std::string_view text) {
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc{} && end == text.data() + text.size() && seconds >= 0 && seconds < 100'000'000'000) {
    return Timestamp{std::chrono::seconds{seconds}};
  }
  return parse_rfc3339(text);
}

}  // namespace

struct Verifier::Impl {
  VerificationScheme scheme;
  MacContext mac;  // keyed once; copied for each request
  std::unique_ptr<EVP_PKEY, Free> public_key;

  // The parts that were signed, one after the other. Errc::unauthenticated: a header among them is missing.
  template <class Feed>
  Result<> for_each_part(const WebhookRequest& request, Feed feed) const {
    for (const auto& part : scheme.signed_parts) {
      if (part == "body") {
        feed(request.body);
      } else if (part.starts_with("text:")) {
        feed(std::string_view(part).substr(5));
      } else {
        const auto name = std::string_view(part).substr(std::string_view("header:").size());
        const auto value = header_of(request, name);
        if (!value) return fail(Errc::unauthenticated, fmt::format("the header {} is missing", name));
        feed(*value);
      }
    }
    return {};
  }

  Result<> check_mac(const WebhookRequest& request, std::string_view given) const {
    const MacContext context(EVP_MAC_CTX_dup(mac.get()));
    if (!context) return fail(Errc::internal, "OpenSSL cannot copy an HMAC");
    auto fed = for_each_part(
        request, [&](std::string_view part) { EVP_MAC_update(context.get(), unsigned_data(part), part.size()); });
    if (!fed) return fed;
    std::array<char, EVP_MAX_MD_SIZE> expected{};
    std::size_t length = 0;
    auto* const mac_bytes = reinterpret_cast<unsigned char*>(expected.data());
    if (EVP_MAC_final(context.get(), mac_bytes, &length, expected.size()) != 1) {
      return fail(Errc::internal, "OpenSSL cannot finish an HMAC");
    }
    if (!equal_in_constant_time(given, {expected.data(), length})) {
      return fail(Errc::unauthenticated, "the signature is wrong");
    }
    return {};
  }

  Result<> check_ed25519(const WebhookRequest& request, std::string_view given) const {
    std::string message;
    if (auto fed = for_each_part(request, [&](std::string_view part) { message += part; }); !fed) return fed;
    const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
    if (!context || EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, public_key.get()) != 1) {
      return fail(Errc::internal, "OpenSSL cannot verify Ed25519");
    }
    if (EVP_DigestVerify(context.get(), unsigned_data(given), given.size(), unsigned_data(message), message.size()) !=
        1) {
      return fail(Errc::unauthenticated, "the signature is wrong");
    }
    return {};
  }

  Result<> check_age(const WebhookRequest& request, Timestamp now) const {
    if (!scheme.max_age) return {};
    const auto text = header_of(request, scheme.timestamp_header);
    const auto time = text ? parse_time(*text) : std::nullopt;
    if (!time) return fail(Errc::unauthenticated, fmt::format("the header {} holds no time", scheme.timestamp_header));
    const auto age = now - *time;
    if (age > *scheme.max_age || age < -*scheme.max_age) return fail(Errc::unauthenticated, "the request is too old");
    return {};
  }
};

Verifier::Verifier(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Verifier::~Verifier() = default;
Verifier::Verifier(Verifier&&) noexcept = default;
Verifier& Verifier::operator=(Verifier&&) noexcept = default;

Result<Verifier> Verifier::create(const VerificationScheme& scheme, const Secret& secret) {
  auto impl = std::make_unique<Impl>();
  impl->scheme = scheme;
  if (scheme.kind == Kind::hmac_sha256 || scheme.kind == Kind::hmac_sha1) {
    if (secret.empty()) return fail(Errc::invalid, "an HMAC needs a secret");
    auto mac = keyed_mac(scheme.kind == Kind::hmac_sha256 ? "SHA256" : "SHA1", secret.reveal());
    if (!mac) return std::unexpected(mac.error());
    impl->mac = *std::move(mac);
  }
  if (scheme.kind == Kind::ed25519) {
    const auto key = from_hex(secret.reveal());
    if (!key || key->size() != 32) return fail(Errc::invalid, "an Ed25519 key has 64 hexadecimal digits");
    impl->public_key.reset(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, unsigned_data(*key), key->size()));
    if (!impl->public_key) return fail(Errc::invalid, "not an Ed25519 key");
  }
  return Verifier(std::move(impl));
}

bool Verifier::checks() const { return impl_->scheme.kind != Kind::none && impl_->scheme.kind != Kind::custom; }

Result<> Verifier::verify(const WebhookRequest& request, Timestamp now) const {
  if (!checks()) return {};
  const auto& scheme = impl_->scheme;
  const auto header = header_of(request, scheme.header);
  if (!header) return fail(Errc::unauthenticated, fmt::format("the header {} is missing", scheme.header));
  if (!header->starts_with(scheme.prefix)) {
    return fail(Errc::unauthenticated,
                fmt::format("the header {} does not begin with {}", scheme.header, scheme.prefix));
  }
  const auto given = decode(header->substr(scheme.prefix.size()), scheme.encoding);
  if (!given) return fail(Errc::unauthenticated, fmt::format("the header {} is malformed", scheme.header));
  const auto checked =
      scheme.kind == Kind::ed25519 ? impl_->check_ed25519(request, *given) : impl_->check_mac(request, *given);
  if (!checked) return checked;
  return impl_->check_age(request, now);
}

}  // namespace patchbay::plugin
