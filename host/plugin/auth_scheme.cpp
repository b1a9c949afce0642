#include "plugin/auth_scheme.hpp"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace patchbay::plugin {
namespace {

using nlohmann::json;
using Texts = std::map<std::string, std::string>;

struct GrantName {
  OAuthGrant grant;
  std::string_view name;
};
constexpr std::array kGrants{GrantName{OAuthGrant::authorization_code, "authorization_code"},
                             GrantName{OAuthGrant::device_code, "device_code"},
                             GrantName{OAuthGrant::client_credentials, "client_credentials"},
                             GrantName{OAuthGrant::jwt_bearer, "jwt_bearer"}};

// What the host itself knows of a connection, beside its fields.
constexpr std::array<std::string_view, 4> kOwnFields{"access_token", "refresh_token", "client_id", "client_secret"};

DeclaredRequest read_request(const json& from) {
  DeclaredRequest request;
  request.method = from.value("method", "GET");
  request.url = from.value("url", from.value("path", ""));
  request.form = from.value("form", Texts{});
  request.json = from.value("json", Texts{});
  request.with_client = from.value("auth", "") == "client";
  return request;
}

std::optional<Duration> duration_of(const json& from, const char* key) {
  return from.contains(key) ? parse_duration(from[key].get<std::string>()) : std::nullopt;
}

OAuthScheme read_oauth(const json& from) {
  OAuthScheme oauth;
  if (from.contains("grants")) oauth.grants.clear();
  const auto grants = from.value("grants", std::vector<std::string>{});
  for (const auto& name : grants) oauth.grants.push_back(*parse_grant(name));
  oauth.authorize_url = from.value("authorize_url", "");
  oauth.token_url = from.value("token_url", "");
  oauth.device_url = from.value("device_url", "");
  oauth.revoke_url = from.value("revoke_url", "");
  if (from.contains("revoke")) oauth.revoke = read_request(from["revoke"]);
  oauth.audience = from.value("audience", "");
  oauth.pkce = from.value("pkce", true);
  oauth.client_in_body = from.value("client_auth", "basic") == "body";
  oauth.scopes = from.value("scopes", std::vector<std::string>{});
  oauth.scope_separator = from.value("scope_separator", " ");
  oauth.authorize_params = from.value("authorize_params", Texts{});
  oauth.token_params = from.value("token_params", Texts{});
  oauth.lead = duration_of(from, "lead").value_or(oauth.lead);
  oauth.keep_alive = duration_of(from, "keep_alive");
  return oauth;
}

std::optional<Injection> read_injection(const json& scheme) {
  if (scheme.contains("inject")) {
    const auto& from = scheme["inject"];
    return Injection{from.value("header", ""), from.value("query", ""), from["value"]};
  }
  const auto type = scheme["type"].get<std::string>();
  if (type == "basic") return Injection{"Authorization", "", "Basic {basic}"};
  if (type == "oauth2") return Injection{"Authorization", "", "Bearer {access_token}"};
  return std::nullopt;
}

void read_fields(const json& from, AuthScheme& scheme) {
  const auto fields = from.value("fields", json::object());
  for (const auto& [name, field] : fields.items()) {
    (field.value("optional", false) ? scheme.optional_fields : scheme.fields).push_back(name);
  }
  if (scheme.type == "basic" && scheme.fields.empty()) scheme.fields = {"password", "username"};
}

// Placeholders of "Bearer {token}".
std::vector<std::string> placeholders(const std::string& text) {
  std::vector<std::string> names;
  for (auto open = text.find('{'); open != std::string::npos; open = text.find('{', open + 1)) {
    const auto close = text.find('}', open);
    if (close == std::string::npos) break;
    names.push_back(text.substr(open + 1, close - open - 1));
  }
  return names;
}

// Every text of a scheme that may hold placeholders, with its pointer.
std::vector<std::pair<std::string, std::string>> texts_of(const json& scheme) {
  std::vector<std::pair<std::string, std::string>> texts;
  const auto add = [&](const json& of, const std::string& pointer) {
    for (const auto& [name, value] : of.items()) {
      if (value.is_string()) texts.emplace_back(pointer + "/" + name, value.get<std::string>());
    }
  };
  if (scheme.contains("inject")) texts.emplace_back("/inject/value", scheme["inject"]["value"]);
  if (scheme.contains("sign")) add(scheme["sign"], "/sign");
  for (const auto* name : {"test", "identity", "revoke"}) {
    if (!scheme.contains(name)) continue;
    const auto here = std::string("/") + name;
    texts.emplace_back(here + "/url", scheme[name].value("url", scheme[name].value("path", "")));
    add(scheme[name].value("form", json::object()), here + "/form");
    add(scheme[name].value("json", json::object()), here + "/json");
  }
  return texts;
}

void check_oauth(const json& scheme, const std::string& here, std::vector<std::string>& faults) {
  const auto oauth = read_oauth(scheme);
  const auto need = [&](bool needed, const char* member, const std::string& value) {
    if (needed && value.empty()) faults.push_back(fmt::format("{}/{}: the grant needs it", here, member));
  };
  const auto has = [&](OAuthGrant grant) { return std::ranges::find(oauth.grants, grant) != oauth.grants.end(); };
  need(true, "token_url", oauth.token_url);
  need(has(OAuthGrant::authorization_code), "authorize_url", oauth.authorize_url);
  need(has(OAuthGrant::device_code), "device_url", oauth.device_url);
}

void check_placeholders(const json& scheme, const std::string& here, std::vector<std::string>& faults) {
  std::set<std::string> known;
  const auto type = scheme["type"].get<std::string>();
  if (type == "oauth2") known.insert(kOwnFields.begin(), kOwnFields.end());
  if (type == "basic") known = {"basic", "username", "password"};
  const auto fields = scheme.value("fields", json::object());
  for (const auto& [name, ignored] : fields.items()) known.insert(name);
  for (const auto& [pointer, text] : texts_of(scheme)) {
    for (const auto& name : placeholders(text)) {
      if (!known.contains(name)) faults.push_back(fmt::format("{}{}: there is no field '{}'", here, pointer, name));
    }
  }
}

}  // namespace

bool AuthScheme::allows(OAuthGrant grant) const { return oauth && std::ranges::find(oauth->grants, grant) != oauth->grants.end(); }

std::optional<OAuthGrant> parse_grant(std::string_view name) {
  const auto found = std::ranges::find(kGrants, name, &GrantName::name);
  return found == kGrants.end() ? std::nullopt : std::optional(found->grant);
}

std::string_view name_of(OAuthGrant grant) { return std::ranges::find(kGrants, grant, &GrantName::grant)->name; }

std::vector<AuthScheme> read_auth_schemes(const json& auth) {
  std::vector<AuthScheme> schemes;
  for (const auto& [id, from] : auth.items()) {
    auto& scheme = schemes.emplace_back();
    scheme.id = id;
    scheme.type = from["type"];
    scheme.title = from.value("title", "");
    read_fields(from, scheme);
    scheme.inject = read_injection(from);
    if (scheme.type == "oauth2") scheme.oauth = read_oauth(from);
    if (from.contains("test")) scheme.test = read_request(from["test"]);
    if (from.contains("identity")) {
      const auto& identity = from["identity"];
      scheme.identity = AccountIdentity{read_request(identity), identity.value("id", "/id"), identity.value("name", "")};
    }
    if (!from.contains("sign")) continue;
    const auto& sign = from["sign"];
    auto& signing = scheme.sign.emplace();
    signing.scheme = sign["scheme"];
    signing.signed_parts = sign.value("signed", std::vector<std::string>{});
    for (const auto& [name, value] : sign.items()) {
      if (value.is_string() && name != "scheme") signing.settings[name] = value;
    }
  }
  return schemes;
}

std::vector<std::string> auth_faults(const json& auth) {
  std::vector<std::string> faults;
  for (const auto& [id, scheme] : auth.items()) {
    const auto here = "/auth/" + id;
    if (scheme["type"] == "oauth2") check_oauth(scheme, here, faults);
    check_placeholders(scheme, here, faults);
    if (scheme.contains("inject") && scheme["inject"].contains("header") == scheme["inject"].contains("query")) {
      faults.push_back(here + "/inject: needs a header or a query parameter, and not both");
    }
  }
  return faults;
}

}  // namespace patchbay::plugin
