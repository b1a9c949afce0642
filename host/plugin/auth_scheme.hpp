#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "core/time.hpp"

namespace patchbay::plugin {

// A request that the manifest describes. Texts may hold placeholders, "{token}": the connection's fields.
struct DeclaredRequest {
  std::string method = "GET";
  std::string url;  // whole, or a path below the provider's base URL
  std::map<std::string, std::string> form;
  std::map<std::string, std::string> json;
  bool with_client = false;  // HTTP Basic with the OAuth client's id and secret, instead of the connection's credentials
};

enum class OAuthGrant { authorization_code, device_code, client_credentials, jwt_bearer };

// OAuth 2.0 (RFC 6749) at this provider.
struct OAuthScheme {
  std::vector<OAuthGrant> grants{OAuthGrant::authorization_code};
  std::string authorize_url;
  std::string token_url;
  std::string device_url;                  // RFC 8628
  std::string revoke_url;                  // RFC 7009
  std::optional<DeclaredRequest> revoke;   // where revoking is done in another way
  std::string audience;                    // of a service account's assertion; empty: token_url
  bool pkce = true;                        // RFC 7636, S256
  bool client_in_body = false;             // client_secret_post instead of client_secret_basic
  std::vector<std::string> scopes;         // always asked for
  std::string scope_separator = " ";
  std::map<std::string, std::string> authorize_params;  // "access_type": "offline"
  std::map<std::string, std::string> token_params;
  Duration lead = std::chrono::minutes{5};   // a token is refreshed so long before it expires
  std::optional<Duration> keep_alive;        // one that nobody uses is refreshed after so long
};

// Where a secret goes in a request: a header or a query parameter.
struct Injection {
  std::string header;
  std::string query;
  std::string value;  // "Bearer {token}"
};

// How each request is signed; what it needs are placeholders.
struct SigningScheme {
  std::string scheme;                           // "aws-sigv4", "hmac-sha256", …
  std::map<std::string, std::string> settings;  // "region": "{region}", "in": "query", "header": "x-signature", …
  std::vector<std::string> signed_parts;        // of an HMAC
};

// Who an account is: read from the answer to `request`.
struct AccountIdentity {
  DeclaredRequest request;
  std::string id;    // RFC 6901
  std::string name;  // likewise
};

// One way to connect an account, and how its credentials go into requests.
struct AuthScheme {
  std::string id;                   // "account"
  std::string type;                 // "token", "oauth2", "basic", "api_key", "hmac", "mtls", "aws_sigv4", …
  std::string title;
  std::vector<std::string> fields;  // what a user must give: "token"
  std::vector<std::string> optional_fields;
  std::optional<Injection> inject;
  std::optional<OAuthScheme> oauth;
  std::optional<SigningScheme> sign;
  std::optional<DeclaredRequest> test;  // harmless; 2xx: the credentials are good
  std::optional<AccountIdentity> identity;

  [[nodiscard]] bool allows(OAuthGrant grant) const;
};

[[nodiscard]] std::optional<OAuthGrant> parse_grant(std::string_view name);
[[nodiscard]] std::string_view name_of(OAuthGrant grant);

// From a manifest's "auth", which its schema has accepted.
[[nodiscard]] std::vector<AuthScheme> read_auth_schemes(const nlohmann::json& auth);
// What the schema cannot say; each with its JSON Pointer.
[[nodiscard]] std::vector<std::string> auth_faults(const nlohmann::json& auth);

}  // namespace patchbay::plugin
