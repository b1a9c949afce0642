#include "vault/oauth.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <openssl/sha.h>

#include "egress/target.hpp"

namespace patchbay::vault {
namespace {

using nlohmann::json;

constexpr std::size_t kLongestAnswer = 1 << 20;
constexpr std::size_t kLongestMessage = 300;

struct KnownError {
  std::string_view code;
  TokenFault fault;
};
// RFC 6749 5.2, RFC 8628 3.5, and GitHub's own words.
constexpr std::array kKnownErrors{
    KnownError{"invalid_grant", TokenFault::invalid_grant},
    KnownError{"bad_verification_code", TokenFault::invalid_grant},
    KnownError{"bad_refresh_token", TokenFault::invalid_grant},
    KnownError{"authorization_pending", TokenFault::pending},
    KnownError{"slow_down", TokenFault::slow_down},
    KnownError{"access_denied", TokenFault::denied},
    KnownError{"expired_token", TokenFault::expired},
    KnownError{"temporarily_unavailable", TokenFault::passing},
    KnownError{"server_error", TokenFault::passing},
};

void append_encoded(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : text) {
    const bool kept = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' || c == '~';
    if (kept) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += {'%', kHex[byte >> 4], kHex[byte & 15]};
  }
}

std::string decode_form_text(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] == '%' && i + 2 < text.size() && from_hex(text.substr(i + 1, 2))) {
      out += *from_hex(text.substr(i + 1, 2));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

// access_token=gho_…&scope=repo%2Cgist&token_type=bearer
json read_form(std::string_view text) {
  json object = json::object();
  while (!text.empty()) {
    const auto pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), pair.size() + 1));
    const auto equals = pair.find('=');
    if (equals == pair.npos) continue;
    object[decode_form_text(pair.substr(0, equals))] = decode_form_text(pair.substr(equals + 1));
  }
  return object;
}

std::string text_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

Secret secret_at(json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return Secret();
  auto& text = found->get_ref<std::string&>();
  Secret secret(text);
  wipe(text);
  return secret;
}

// A number, or a text that holds one, as some providers send it.
std::optional<std::chrono::seconds> seconds_at(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return std::nullopt;
  double value = 0;
  if (found->is_number()) value = found->get<double>();
  else if (found->is_string()) value = std::strtod(found->get<std::string>().c_str(), nullptr);
  if (!(value > 0) || value > 1e10) return std::nullopt;
  return std::chrono::seconds{static_cast<std::int64_t>(value)};
}

std::optional<Scopes> scopes_of(const json& object) {
  for (const auto* key : {"scope", "scopes"}) {
    const auto found = object.find(key);
    if (found == object.end()) continue;
    if (found->is_string()) return parse_scopes(found->get<std::string>());
    if (!found->is_array()) continue;
    std::string all;
    for (const auto& scope : *found) {
      if (scope.is_string()) all += scope.get<std::string>() + " ";
    }
    return parse_scopes(all);
  }
  return std::nullopt;
}

std::string printable(std::string text) {
  std::erase_if(text, [](char c) { return static_cast<unsigned char>(c) < 0x20; });
  return text.substr(0, kLongestMessage);
}

TokenError refused(const std::string& provider, int status, const json& object) {
  const auto code = text_at(object, "error");
  auto said = text_at(object, "error_description");
  if (said.empty()) said = text_at(object, "message");
  const auto message = printable(fmt::format("{} answered {}{}{}", provider, status, code.empty() ? "" : ", " + code, said.empty() ? "" : ": " + said));
  const auto known = std::ranges::find(kKnownErrors, code, &KnownError::code);
  if (known != kKnownErrors.end()) return {known->fault, message};
  if (status >= 500 || status == 429 || status == 408) return {TokenFault::passing, message};
  // Without a word of the RFC, as Twitch has it: {"status":400,"message":"Invalid refresh token"}.
  const bool about_client = said.find("client") != std::string::npos;
  if (code.empty() && (status == 400 || status == 401) && !about_client) return {TokenFault::invalid_grant, message};
  return {TokenFault::client, message};
}

// The answer's object, or what it refuses. The reply's body is wiped.
std::expected<json, TokenError> read_answer(const std::string& provider, Result<egress::HttpReply>& reply) {
  if (!reply) {
    const bool ours = reply.error().code == Errc::denied || reply.error().code == Errc::invalid;
    return std::unexpected(TokenError{ours ? TokenFault::client : TokenFault::passing, reply.error().message});
  }
  auto& body = reply->body;
  if (body.size() > kLongestAnswer) return std::unexpected(TokenError{TokenFault::passing, provider + " answered with too much"});
  auto object = json::parse(body, nullptr, false);
  if (!object.is_object()) object = reply->header("content-type").find("form") != std::string_view::npos ? read_form(body) : json::object();
  wipe(body);
  if (reply->status / 100 != 2 || object.contains("error")) return std::unexpected(refused(provider, reply->status, object));
  return object;
}

}  // namespace

Pkce make_pkce() {
  std::string verifier = random_token(32);  // 43 characters
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(verifier.data()), verifier.size(), digest.data());
  Pkce made{Secret(verifier), to_base64url({reinterpret_cast<const char*>(digest.data()), digest.size()})};
  wipe(verifier);
  return made;
}

std::string encode_form(const Form& form) {
  std::size_t most = 0;
  for (const auto& [name, value] : form) most += 3 * (name.size() + value.size()) + 2;
  std::string text;
  text.reserve(most);  // so that no half of a secret stays behind when it grows
  for (const auto& [name, value] : form) {
    if (!text.empty()) text += '&';
    append_encoded(text, name);
    text += '=';
    append_encoded(text, value);
  }
  return text;
}

std::string authorization_url(const OAuthParty& party, std::string_view redirect_uri, std::string_view state,
                              const Scopes& scopes, std::string_view challenge) {
  Form query{{"response_type", "code"},
             {"client_id", party.client_id},
             {"redirect_uri", std::string(redirect_uri)},
             {"state", std::string(state)}};
  std::string scope;
  for (const auto& name : scopes) scope += (scope.empty() ? "" : party.scheme.scope_separator) + name;
  if (!scope.empty()) query.emplace_back("scope", scope);
  if (!challenge.empty()) {
    query.emplace_back("code_challenge", std::string(challenge));
    query.emplace_back("code_challenge_method", "S256");
  }
  for (const auto& [name, value] : party.scheme.authorize_params) query.emplace_back(name, value);
  const auto& url = party.scheme.authorize_url;
  return url + (url.find('?') == url.npos ? "?" : "&") + encode_form(query);
}

egress::HttpRequest client_request(const OAuthParty& party, const std::string& url, Form form) {
  egress::HttpRequest request;
  request.method = "POST";
  request.url = url;
  request.provider = party.provider;
  request.once = true;  // a refresh token that rotates counts as stolen when it comes twice
  request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}, {"Accept", "application/json"}};
  if (const auto target = egress::parse_target(url)) {
    request.allowed_hosts = std::make_shared<const std::vector<std::string>>(1, std::string(target->host()));
  }
  const bool in_body = party.scheme.client_in_body || party.client_secret.empty();
  if (in_body) form.emplace_back("client_id", party.client_id);
  if (in_body && !party.client_secret.empty()) form.emplace_back("client_secret", std::string(party.client_secret.reveal()));
  if (!in_body) {
    std::string pair;
    pair.reserve(4096);
    append_encoded(pair, party.client_id);
    pair += ':';
    append_encoded(pair, party.client_secret.reveal());
    request.headers.emplace_back("Authorization", "Basic " + to_base64(pair));
    wipe(pair);
  }
  request.body = encode_form(form);
  for (auto& [name, value] : form) wipe(value);
  return request;
}

std::expected<Tokens, TokenError> read_tokens(const std::string& provider, Result<egress::HttpReply>& reply) {
  auto object = read_answer(provider, reply);
  if (!object) return std::unexpected(object.error());
  Tokens tokens{secret_at(*object, "access_token"), secret_at(*object, "refresh_token"), seconds_at(*object, "expires_in"), scopes_of(*object)};
  if (tokens.access_token.empty()) {
    return std::unexpected(TokenError{TokenFault::passing, fmt::format("{} answered {} without an access token", provider, reply->status)});
  }
  return tokens;
}

std::expected<DeviceCode, TokenError> read_device_code(const std::string& provider, Result<egress::HttpReply>& reply) {
  auto object = read_answer(provider, reply);
  if (!object) return std::unexpected(object.error());
  DeviceCode code;
  code.device_code = secret_at(*object, "device_code");
  code.user_code = text_at(*object, "user_code");
  code.verification_uri = text_at(*object, "verification_uri");
  if (code.verification_uri.empty()) code.verification_uri = text_at(*object, "verification_url");  // Google's name for it
  code.verification_uri_complete = text_at(*object, "verification_uri_complete");
  code.expires_in = seconds_at(*object, "expires_in").value_or(code.expires_in);
  code.interval = seconds_at(*object, "interval").value_or(code.interval);
  if (code.device_code.empty() || code.user_code.empty() || code.verification_uri.empty()) {
    return std::unexpected(TokenError{TokenFault::passing, provider + " did not answer with a device code"});
  }
  return code;
}

}  // namespace patchbay::vault
