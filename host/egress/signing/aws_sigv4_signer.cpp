#include <algorithm>
#include <array>

#include "egress/percent.hpp"
#include "egress/signer.hpp"
#include "egress/signing/crypto.hpp"
#include "egress/signing/sigv4.hpp"
#include "egress/signing/url_parts.hpp"

namespace patchbay::egress {
namespace {

constexpr std::chrono::seconds kExpiresAtMost{7 * 24 * 3600};  // AWS refuses more

constexpr std::array<std::string_view, 4> kS3{"s3", "s3express", "s3-outposts", "s3-object-lambda"};
constexpr std::array<std::string_view, 7> kQueryNames{"X-Amz-Algorithm",     "X-Amz-Credential", "X-Amz-Date",
                                                      "X-Amz-Expires",       "X-Amz-Signature",  "X-Amz-SignedHeaders",
                                                      "X-Amz-Security-Token"};

std::string joined_url(const UrlParts& url, std::string_view path, std::string_view query) {
  std::string out;
  out.reserve(url.origin.size() + path.size() + query.size() + 1);
  out.append(url.origin).append(path);
  if (!query.empty()) out.append("?").append(query);
  return out;
}

void replace(std::string& text, std::string by) {
  wipe(text);
  text = std::move(by);
}

void append_parameter(std::string& query, std::string_view name, std::string_view value) {
  auto encoded = percent_encoded(value);
  std::string longer;
  longer.reserve(query.size() + name.size() + encoded.size() + 2);
  longer.append(query).append(query.empty() ? "" : "&").append(name).append("=").append(encoded);
  wipe(encoded);
  replace(query, std::move(longer));
}

// The query without an earlier signature: a redirect may have brought it back.
std::string without_signature(std::string_view query) {
  std::string kept;
  kept.reserve(query.size());
  while (!query.empty()) {
    const auto piece = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(piece.size() + 1, query.size()));
    if (std::ranges::find(kQueryNames, piece.substr(0, piece.find('='))) != kQueryNames.end()) continue;
    if (!kept.empty()) kept += '&';
    kept += piece;
  }
  return kept;
}

class AwsSigV4Signer final : public Signer {
 public:
  explicit AwsSigV4Signer(AwsSigV4 settings)
      : settings_(std::move(settings)),
        is_s3_(std::ranges::find(kS3, settings_.service) != kS3.end()),
        path_form_(settings_.path == AwsSigV4::Path::as_sent || (settings_.path == AwsSigV4::Path::by_service && is_s3_)
                       ? sigv4::PathForm::as_sent
                       : sigv4::PathForm::normalised) {}

  Result<> sign(Signable& request) const override {
    write_plainly(request.url);
    request.secrets.emplace_back(settings_.access_key_id);
    if (has_token()) {
      request.secrets.push_back(settings_.session_token);
      request.secrets.emplace_back(percent_encoded(settings_.session_token.reveal()));
    }
    return settings_.place == AwsSigV4::Place::header ? sign_in_headers(request) : sign_in_query(request);
  }

 private:
  using Moment = sigv4::Moment;

  // What two readers may take for two things is sent in the form that was signed: '+' in a query (a space, as in forms)
  // and, where paths are signed as they are sent, each byte of the path.
  void write_plainly(std::string& url) const {
    const auto parts = split_url(url);
    const bool as_sent = path_form_ == sigv4::PathForm::as_sent;
    auto path = as_sent ? sigv4::canonical_path(parts.path, path_form_) : std::string(parts.path);
    std::string query;
    query.reserve(parts.query.size() * 3);
    for (const char c : parts.query) query.append(c == '+' ? std::string_view("%20") : std::string_view(&c, 1));
    replace(url, joined_url(parts, path, query));
    wipe(path);
    wipe(query);
  }

  Result<> sign_in_headers(Signable& request) const {
    const auto moment = sigv4::moment_of(request.now);
    const auto hash = payload_hash(request.body);
    if (!hash) return std::unexpected(hash.error());
    request.added.emplace_back("X-Amz-Date", moment.second);
    if (is_s3_ || settings_.send_body_hash || !settings_.sign_body) {
      request.added.emplace_back("X-Amz-Content-Sha256", *hash);
    }
    if (has_token() && settings_.sign_session_token) add_token(request);
    auto headers = to_be_signed(request);
    auto signature = sign_parts(request, split_url(request.url).query, headers, *hash, moment);
    const auto names = sigv4::signed_headers(headers);
    wipe_values(headers);
    if (!signature) return std::unexpected(signature.error());
    if (has_token() && !settings_.sign_session_token) add_token(request);
    request.secrets.emplace_back(*signature);
    request.added.emplace_back("Authorization",
                               sigv4::authorization(settings_.access_key_id, scope(moment), names, *signature));
    return {};
  }

  Result<> sign_in_query(Signable& request) const {
    const auto moment = sigv4::moment_of(request.now);
    // A presigned S3 request never says what its body is.
    const auto hash = is_s3_ ? Result<std::string>(sigv4::kUnsignedPayload) : payload_hash(request.body);
    if (!hash) return std::unexpected(hash.error());
    auto headers = to_be_signed(request);
    auto query = without_signature(split_url(request.url).query);
    append_parameter(query, "X-Amz-Algorithm", sigv4::kAlgorithm);
    append_parameter(query, "X-Amz-Credential", settings_.access_key_id + "/" + scope(moment));
    append_parameter(query, "X-Amz-Date", moment.second);
    append_parameter(query, "X-Amz-Expires", std::to_string(settings_.expires.count()));
    append_parameter(query, "X-Amz-SignedHeaders", sigv4::signed_headers(headers));
    if (has_token() && settings_.sign_session_token) append_token(query);
    auto signature = sign_parts(request, query, headers, *hash, moment);
    wipe_values(headers);
    if (signature) {
      append_parameter(query, "X-Amz-Signature", *signature);
      if (has_token() && !settings_.sign_session_token) append_token(query);
      request.secrets.emplace_back(*signature);
      const auto parts = split_url(request.url);
      const auto path = parts.path.empty() ? std::string("/") : std::string(parts.path);
      replace(request.url, joined_url(parts, path, query));
    }
    wipe(query);
    if (!signature) return std::unexpected(signature.error());
    return {};
  }

  Result<std::string> sign_parts(const Signable& request, std::string_view query, const Headers& headers,
                                 std::string_view hash, const Moment& moment) const {
    auto canonical = sigv4::canonical_request({.method = request.method,
                                               .path = split_url(request.url).path,
                                               .query = query,
                                               .headers = headers,
                                               .payload_hash = hash,
                                               .path_form = path_form_});
    const auto text = sigv4::string_to_sign(moment, scope(moment), canonical);
    wipe(canonical);
    if (!text) return text;
    return sigv4::signature(settings_.secret_access_key, scope(moment), *text);
  }

  // The request's headers, without those that are replaced, with those that are added, and the host.
  static Headers to_be_signed(const Signable& request) {
    Headers all = request.added;
    for (const auto& header : request.headers) {
      const auto replaces = [&](const auto& added) { return is_same_name(added.first, header.first); };
      if (std::ranges::none_of(request.added, replaces)) all.push_back(header);
    }
    all.emplace_back("host", split_url(request.url).host_header());
    return all;
  }

  static void wipe_values(Headers& headers) {
    for (auto& header : headers) wipe(header.second);
  }

  Result<std::string> payload_hash(std::string_view body) const {
    if (!settings_.sign_body) return std::string(sigv4::kUnsignedPayload);
    auto hash = digest(Digest::sha256, body);
    if (hash) hash = to_hex(*hash);
    return hash;
  }

  bool has_token() const { return !settings_.session_token.empty(); }
  void add_token(Signable& request) const {
    request.added.emplace_back("X-Amz-Security-Token", settings_.session_token.reveal());
  }
  void append_token(std::string& query) const {
    append_parameter(query, "X-Amz-Security-Token", settings_.session_token.reveal());
  }
  std::string scope(const Moment& moment) const { return sigv4::scope_of(moment, settings_.region, settings_.service); }

  const AwsSigV4 settings_;
  const bool is_s3_;
  const sigv4::PathForm path_form_;
};

// What stands in a scope, between slashes and commas.
bool is_plain(std::string_view text) { return !text.empty() && percent_encoded(text) == text; }

}  // namespace

Result<std::shared_ptr<const Signer>> make_aws_sigv4_signer(AwsSigV4 settings) {
  if (!is_plain(settings.access_key_id)) return fail(Errc::invalid, "the aws access key id is missing or malformed");
  if (settings.secret_access_key.empty()) return fail(Errc::invalid, "the aws secret access key is missing");
  if (!is_plain(settings.region)) return fail(Errc::invalid, "the aws region is missing or malformed");
  if (!is_plain(settings.service)) return fail(Errc::invalid, "the aws service is missing or malformed");
  if (settings.expires < std::chrono::seconds{1} || settings.expires > kExpiresAtMost) {
    return fail(Errc::invalid, "a presigned aws request expires after 1 second to 7 days");
  }
  return std::make_shared<const AwsSigV4Signer>(std::move(settings));
}

}  // namespace patchbay::egress
