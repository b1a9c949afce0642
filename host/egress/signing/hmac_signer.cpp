#include <algorithm>

#include <fmt/format.h>

#include "egress/curl/outgoing.hpp"
#include "egress/signer.hpp"
#include "egress/signing/crypto.hpp"
#include "egress/signing/url_parts.hpp"

namespace patchbay::egress {
namespace {

constexpr std::string_view kText = "text:";
constexpr std::string_view kHeader = "header:";

Digest digest_of(HmacScheme::Algorithm algorithm) {
  switch (algorithm) {
    case HmacScheme::Algorithm::sha1:
      return Digest::sha1;
    case HmacScheme::Algorithm::sha512:
      return Digest::sha512;
    case HmacScheme::Algorithm::sha256:
      break;
  }
  return Digest::sha256;
}

class HmacSigner final : public Signer {
 public:
  explicit HmacSigner(HmacScheme scheme) : scheme_(std::move(scheme)) {}

  Result<> sign(Signable& request) const override {
    const auto timestamp = std::to_string(millis(request.now) / 1000);
    std::vector<std::string_view> parts;
    parts.reserve(scheme_.signed_parts.size());
    for (const auto& part : scheme_.signed_parts) {
      const auto bytes = bytes_of(part, request, timestamp);
      if (!bytes) return std::unexpected(bytes.error());
      parts.push_back(*bytes);
    }
    const auto mac = hmac(digest_of(scheme_.algorithm), scheme_.key.reveal(), parts);
    if (!mac) return std::unexpected(mac.error());
    const auto written = scheme_.encoding == HmacScheme::Encoding::hex ? to_hex(*mac) : to_base64(*mac);
    request.secrets.emplace_back(written);
    request.added.emplace_back(scheme_.header, scheme_.prefix + written);
    if (!scheme_.timestamp_header.empty()) request.added.emplace_back(scheme_.timestamp_header, timestamp);
    return {};
  }

 private:
  Result<std::string_view> bytes_of(std::string_view part, const Signable& request, std::string_view timestamp) const {
    if (part == "method") return request.method;
    if (part == "body") return request.body;
    if (part == "timestamp") return timestamp;
    if (part.starts_with(kText)) return part.substr(kText.size());
    if (part.starts_with(kHeader)) return header_of(part.substr(kHeader.size()), request.headers, timestamp);
    const auto url = split_url(request.url);
    if (part == "query") return url.query;
    return url.path.empty() ? "/" : url.path;
  }

  Result<std::string_view> header_of(std::string_view name, const Headers& headers, std::string_view timestamp) const {
    if (is_same_name(name, scheme_.timestamp_header)) return timestamp;
    const auto is_it = [name](const auto& header) { return is_same_name(header.first, name); };
    const auto found = std::ranges::find_if(headers, is_it);
    if (found == headers.end()) {
      return fail(Errc::invalid, fmt::format("the header {} that is to be signed is missing", name));
    }
    if (std::ranges::count_if(headers, is_it) > 1) {
      return fail(Errc::invalid, fmt::format("the header {} that is to be signed stands there twice", name));
    }
    return found->second;
  }

  const HmacScheme scheme_;
};

Result<> check_part(const HmacScheme& scheme, std::string_view part) {
  if (part == "timestamp" && scheme.timestamp_header.empty()) {
    return fail(Errc::invalid, "the time is signed, but no header sends it");
  }
  if (part == "method" || part == "path" || part == "query" || part == "body" || part == "timestamp") return {};
  if (part.starts_with(kText)) return {};
  if (part.starts_with(kHeader)) {
    const auto name = part.substr(kHeader.size());
    if (is_same_name(name, scheme.header)) return fail(Errc::invalid, "the signature's own header cannot be signed");
    return check_header(name, "");
  }
  return fail(Errc::invalid, "a signed part is method, path, query, body, timestamp, header:<name> or text:<literal>");
}

}  // namespace

Result<std::shared_ptr<const Signer>> make_hmac_signer(HmacScheme scheme) {
  if (scheme.key.empty()) return fail(Errc::invalid, "an HMAC needs a key");
  if (scheme.signed_parts.empty()) return fail(Errc::invalid, "an HMAC needs something to sign");
  if (auto checked = check_header(scheme.header, scheme.prefix); !checked) return std::unexpected(checked.error());
  if (!scheme.timestamp_header.empty()) {
    if (auto checked = check_header(scheme.timestamp_header, ""); !checked) return std::unexpected(checked.error());
  }
  for (const auto& part : scheme.signed_parts) {
    if (auto checked = check_part(scheme, part); !checked) return std::unexpected(checked.error());
  }
  return std::make_shared<const HmacSigner>(std::move(scheme));
}

}  // namespace patchbay::egress
