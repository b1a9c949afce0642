// What connections add to requests, and the requests that manifests describe.
#include <algorithm>

#include <fmt/format.h>

#include "egress/target.hpp"
#include "vault/connections_impl.hpp"

namespace patchbay::vault {

Result<plugin::AuthScheme> Connections::Impl::scheme(const std::string& provider, const std::string& auth_or_type) const {
  const auto of = manifest(provider);
  if (!of) return fail(Errc::invalid, "there is no provider '" + provider + "'");
  if (const auto* found = of->scheme(auth_or_type)) return *found;
  std::string known;
  for (const auto& scheme : of->auth) known += fmt::format("{}{}", known.empty() ? "" : ", ", scheme.type);
  return fail(Errc::invalid, fmt::format("{} has no auth type '{}'; it has: {}", provider, auth_or_type, known.empty() ? "none" : known));
}

Result<plugin::AuthScheme> Connections::scheme(const std::string& provider, const std::string& auth_or_type) const {
  return impl_->scheme(provider, auth_or_type);
}

Result<OAuthParty> Connections::party(const std::string& provider, const std::string& auth, const Fields& fields) const {
  auto scheme = impl_->scheme(provider, auth);
  if (!scheme) return std::unexpected(scheme.error());
  if (!scheme->oauth) return fail(Errc::invalid, fmt::format("{} '{}' is not OAuth", provider, scheme->id));
  OAuthParty party{provider, *scheme->oauth, "", Secret()};
  if (const auto* access = impl_->access(provider)) {
    const auto& client = access->client;
    party.client_id = client.id;
    party.client_secret = client.secret;
    const auto take = [](std::string& url, const std::string& instead) {
      if (!instead.empty()) url = instead;
    };
    take(party.scheme.authorize_url, client.authorize_url);
    take(party.scheme.token_url, client.token_url);
    take(party.scheme.device_url, client.device_url);
    take(party.scheme.revoke_url, client.revoke_url);
  }
  if (const auto own = fields.find("client_id"); own != fields.end()) party.client_id = own->second.reveal();
  if (const auto own = fields.find("client_secret"); own != fields.end()) party.client_secret = own->second;
  if (party.client_id.empty() && !fields.contains("private_key")) {
    return fail(Errc::invalid, fmt::format("no OAuth client is configured for {0}: register one there, and set providers.{0}.oauth.client_id and "
                                           "providers.{0}.oauth.client_secret", provider));
  }
  return party;
}

Result<egress::HttpRequest> Connections::declared(const std::string& provider, const plugin::DeclaredRequest& wanted, const Fields& fields) const {
  const auto of = impl_->manifest(provider);
  if (!of) return fail(Errc::invalid, "there is no provider '" + provider + "'");
  const auto* access = impl_->access(provider);
  const auto base = access != nullptr && !access->base_url.empty() ? access->base_url : of->base_url;
  const auto url = expand(wanted.url, fields);
  if (!url) return std::unexpected(url.error());
  egress::HttpRequest request;
  request.method = wanted.method;
  request.url = url->reveal().starts_with('/') ? base + std::string(url->reveal()) : std::string(url->reveal());
  request.provider = provider;
  request.headers.assign(of->default_headers.begin(), of->default_headers.end());
  auto hosts = of->hosts;
  if (access != nullptr) hosts.insert(hosts.end(), access->allowed_hosts.begin(), access->allowed_hosts.end());
  if (const auto target = egress::parse_target(base)) hosts.emplace_back(target->host());
  request.allowed_hosts = std::make_shared<const std::vector<std::string>>(std::move(hosts));
  Form form;
  for (const auto& [name, value] : wanted.form) {
    const auto text = expand(value, fields);
    if (!text) return std::unexpected(text.error());
    form.emplace_back(name, std::string(text->reveal()));
  }
  if (!form.empty()) {
    request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
    request.body = encode_form(form);
  }
  Fields json;
  for (const auto& [name, value] : wanted.json) {
    auto text = expand(value, fields);
    if (!text) return std::unexpected(text.error());
    json.emplace(name, *std::move(text));
  }
  if (!json.empty()) {
    request.headers.emplace_back("Content-Type", "application/json");
    request.body = to_payload(json).reveal();
  }
  if (wanted.with_client) {
    auto basic = expand("Basic {basic}", fields);
    request.headers.emplace_back("Authorization", std::string(basic->reveal()));
  }
  return request;
}

Result<Fields> Connections::fields(ConnectionId id) {
  const auto found = impl_->read([&](store::Transaction& transaction) { return sealed_rows(transaction, id); });
  if (!found) return std::unexpected(found.error());
  if (found->empty()) return fail(Errc::not_found, "there is no connection " + id.to_string());
  return impl_->open(found->front());
}

Result<> Connections::authorize(egress::HttpRequest& request) {
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->ready.find(request.connection);
  if (found == impl_->ready.end()) return fail(Errc::unauthenticated, "the connection is no more: connect the account again");
  const auto& ready = found->second;
  const auto& connection = ready.connection;
  if (connection.provider != request.provider) {
    return fail(Errc::denied, fmt::format("a connection of {} is not sent to {}", connection.provider, request.provider));
  }
  if (connection.state != ConnectionState::active && connection.state != ConnectionState::needs_reconsent) {
    return fail(Errc::unauthenticated, fmt::format("the connection is {}{}{}", name_of(connection.state), connection.error.empty() ? "" : ": ", connection.error));
  }
  if (!ready.fault.empty()) return fail(Errc::unauthenticated, ready.fault);
  if (!request.auth.empty() && request.auth != connection.auth) {
    return fail(Errc::unauthenticated, fmt::format("{} asks for auth '{}', the connection has '{}'", connection.provider, request.auth, connection.auth));
  }
  ready.credentials.apply(request);
  return {};
}

std::optional<Standing> Connections::standing(ConnectionId id) const {
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->ready.find(id);
  if (found == impl_->ready.end()) return std::nullopt;
  const auto& ready = found->second;
  return Standing{ready.connection.state, ready.connection.version, ready.connection.expires, ready.lead, ready.renewable};
}

std::optional<Connections::Trouble> Connections::trouble(ConnectionId id, const Scopes& wanted) const {
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->ready.find(id);
  if (found == impl_->ready.end()) return std::nullopt;  // authorize() says what is wrong
  const auto& connection = found->second.connection;
  if (connection.state != ConnectionState::active && connection.state != ConnectionState::needs_reconsent) {
    return Trouble{fmt::format("connection '{}' is {}{}{}", connection.name, name_of(connection.state), connection.error.empty() ? "" : ": ",
                               connection.error),
                   {}};
  }
  if (!connection.scopes) return std::nullopt;
  auto missing = missing_scopes(*connection.scopes, wanted);
  if (missing.empty()) return std::nullopt;
  return Trouble{fmt::format("connection '{}' lacks the permission {}: sign in again with it", connection.name, to_text(missing)), std::move(missing)};
}

Result<std::optional<egress::HttpRequest>> Connections::test_request(ConnectionId id) {
  const auto connection = find(id);
  if (!connection) return std::unexpected(connection.error());
  const auto scheme = impl_->scheme(connection->provider, connection->auth.empty() ? connection->auth_type : connection->auth);
  if (!scheme) return std::unexpected(scheme.error());
  const auto& wanted = scheme->test ? scheme->test : scheme->identity ? std::optional(scheme->identity->request) : std::nullopt;
  if (!wanted) return std::nullopt;
  auto of = fields(id);
  if (!of) return std::unexpected(of.error());
  auto request = declared(connection->provider, *wanted, *of);
  if (!request) return std::unexpected(request.error());
  request->connection = id;
  return *std::move(request);
}

Result<plugin::AuthScheme> Connections::scheme_for(const std::string& provider, const std::string& auth, plugin::OAuthGrant grant) const {
  const auto of = impl_->manifest(provider);
  if (!of) return fail(Errc::invalid, "there is no provider '" + provider + "'");
  if (!auth.empty()) {
    const auto* named = of->scheme(auth);
    if (named == nullptr) return fail(Errc::invalid, fmt::format("{} has no auth '{}'", provider, auth));
    if (named->allows(grant)) return *named;
    return fail(Errc::invalid, fmt::format("{} '{}' does not know the grant {}", provider, auth, plugin::name_of(grant)));
  }
  for (const auto& scheme : of->auth) {
    if (scheme.allows(grant)) return scheme;
  }
  return fail(Errc::invalid, fmt::format("{} cannot be signed in to with {}: POST /api/v1/connections takes its tokens and keys", provider,
                                         plugin::name_of(grant)));
}

Scopes Connections::all_scopes(const std::string& provider) const {
  std::string all;
  const auto of = impl_->manifest(provider);
  if (!of) return {};
  for (const auto* operations : {&of->triggers, &of->reactions}) {
    for (const auto& operation : *operations) all += to_text(operation.scopes) + " ";
  }
  return parse_scopes(all);
}

}  // namespace patchbay::vault
