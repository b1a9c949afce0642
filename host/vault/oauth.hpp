#pragma once

#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/bytes.hpp"
#include "egress/http_client.hpp"
#include "plugin/auth_scheme.hpp"
#include "vault/connection.hpp"

namespace patchbay::vault {

// OAuth 2.0 as bytes: what is asked and how answers read. No I/O, any thread.

// Who asks whom: a provider's endpoints, with the configuration's changes, and the client that is registered there.
struct OAuthParty {
  std::string provider;
  plugin::OAuthScheme scheme;
  std::string client_id;
  Secret client_secret;
};

// RFC 7636: S256 only.
struct Pkce {
  Secret verifier;
  std::string challenge;
};
[[nodiscard]] Pkce make_pkce();

using Form = std::vector<std::pair<std::string, std::string>>;  // wiped by those who fill it with secrets
[[nodiscard]] std::string encode_form(const Form& form);

// RFC 6749, 4.1.1. challenge empty: no PKCE.
[[nodiscard]] std::string authorization_url(const OAuthParty& party, std::string_view redirect_uri, std::string_view state,
                                            const Scopes& scopes, std::string_view challenge);

// A POST of the form to url with the client's own authentication (RFC 6749, 2.3.1). Answered in JSON where it is up to us.
[[nodiscard]] egress::HttpRequest client_request(const OAuthParty& party, const std::string& url, Form form);

struct Tokens {
  Secret access_token;
  Secret refresh_token;  // empty: none came
  std::optional<std::chrono::seconds> expires_in;  // nullopt: it does not expire
  std::optional<Scopes> scopes;                    // nullopt: not said, so those that were asked for (RFC 6749, 5.1)
};

enum class TokenFault {
  invalid_grant,  // the code, refresh token or assertion is not good any more
  pending,        // RFC 8628, 3.5: the person has not decided
  slow_down,      // likewise; and ask less often
  denied,         // the person said no
  expired,        // the device code
  client,         // client id, secret, scope or redirect URI are not what is registered: the operator's matter
  passing,        // try again later
};
struct TokenError {
  TokenFault fault = TokenFault::passing;
  std::string message;
};

// Reads a token endpoint's answer: JSON or a form, an error by status or in a 200, scope as text or array. Takes the
// secrets out of reply.
[[nodiscard]] std::expected<Tokens, TokenError> read_tokens(const std::string& provider, Result<egress::HttpReply>& reply);

struct DeviceCode {
  Secret device_code;
  std::string user_code;
  std::string verification_uri;
  std::string verification_uri_complete;  // may be empty
  std::chrono::seconds expires_in{900};
  std::chrono::seconds interval{5};
};
[[nodiscard]] std::expected<DeviceCode, TokenError> read_device_code(const std::string& provider, Result<egress::HttpReply>& reply);

}  // namespace patchbay::vault
