#include "vault/request_credentials.hpp"

#include <algorithm>

#include "vault/oauth.hpp"

namespace patchbay::vault {
namespace {

using egress::is_same_name;

Secret field(const Fields& fields, const char* name) {
  const auto found = fields.find(name);
  return found == fields.end() ? Secret() : found->second;
}

using SignerPointer = std::shared_ptr<const egress::Signer>;

// The manifest's texts with the fields in their place.
Result<std::map<std::string, std::string>> filled_in(const plugin::SigningScheme& scheme, const Fields& fields) {
  std::map<std::string, std::string> settings;
  for (const auto& [name, text] : scheme.settings) {
    const auto value = expand(text, fields);
    if (!value) return std::unexpected(value.error());
    settings[name] = value->reveal();
  }
  return settings;
}

Result<SignerPointer> make_signer(const plugin::SigningScheme& scheme, const Fields& fields) {
  auto settings = filled_in(scheme, fields);
  if (!settings) return std::unexpected(settings.error());
  auto& set = *settings;
  if (scheme.scheme == "aws-sigv4") {
    egress::AwsSigV4 aws;
    aws.access_key_id = field(fields, "access_key_id").reveal();
    aws.secret_access_key = field(fields, "secret_access_key");
    aws.session_token = field(fields, "session_token");
    aws.region = set["region"];
    aws.service = set["service"];
    if (set["in"] == "query") aws.place = egress::AwsSigV4::Place::query;
    return egress::make_aws_sigv4_signer(std::move(aws));
  }
  egress::HmacScheme hmac;
  using Algorithm = egress::HmacScheme::Algorithm;
  hmac.algorithm = scheme.scheme == "hmac-sha512" ? Algorithm::sha512 : scheme.scheme == "hmac-sha1" ? Algorithm::sha1 : Algorithm::sha256;
  hmac.key = set.contains("key") ? Secret(set["key"]) : field(fields, "key");
  if (set.contains("header")) hmac.header = set["header"];
  hmac.prefix = set["prefix"];
  if (set["encoding"] == "base64") hmac.encoding = egress::HmacScheme::Encoding::base64;
  if (!scheme.signed_parts.empty()) hmac.signed_parts = scheme.signed_parts;
  hmac.timestamp_header = set["timestamp_header"];
  return egress::make_hmac_signer(std::move(hmac));
}

// Without the parameter `name`, and without a fragment.
std::string without_parameter(std::string_view url, std::string_view name) {
  url = url.substr(0, url.find('#'));
  const auto mark = url.find('?');
  std::string out(url.substr(0, mark));
  if (mark == url.npos) return out;
  char between = '?';
  for (auto rest = url.substr(mark + 1); !rest.empty();) {
    const auto pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    if (pair.empty() || pair.substr(0, pair.find('=')) == name) continue;
    (out += std::exchange(between, '&')) += pair;
  }
  return out;
}

}  // namespace

Result<RequestCredentials> RequestCredentials::make(const plugin::AuthScheme& scheme, const Fields& fields) {
  RequestCredentials made;
  if (scheme.sign) {
    auto signer = make_signer(*scheme.sign, fields);
    if (!signer) return std::unexpected(signer.error());
    made.signer_ = *std::move(signer);
  }
  if (scheme.type == "mtls") {
    auto certificate = egress::ClientCertificate::create({field(fields, "certificate"), field(fields, "key"), field(fields, "key_password")});
    if (!certificate) return std::unexpected(certificate.error());
    made.certificate_ = *std::move(certificate);
  }
  if (!scheme.inject) return made;
  auto value = expand(scheme.inject->value, fields);
  if (!value) return std::unexpected(value.error());
  made.header_ = scheme.inject->header;
  made.query_ = scheme.inject->query;
  made.value_ = *std::move(value);
  return made;
}

void RequestCredentials::apply(egress::HttpRequest& request) const {
  request.signer = signer_;
  request.client_certificate = certificate_;
  if (!header_.empty()) {
    std::erase_if(request.headers, [&](const auto& header) { return is_same_name(header.first, header_); });
    request.headers.emplace_back(header_, std::string(value_.reveal()));
  }
  if (!query_.empty()) {
    auto url = without_parameter(request.url, query_);
    auto pair = encode_form({{query_, std::string(value_.reveal())}});
    url.reserve(url.size() + pair.size() + 1);
    url += url.find('?') == url.npos ? '?' : '&';
    url += pair;
    wipe(pair);
    request.url = std::move(url);
  }
}

}  // namespace patchbay::vault
