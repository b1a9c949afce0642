#include "vault/accounts.hpp"

#include <fmt/format.h>

#include "core/json.hpp"
#include "egress/blocking.hpp"
#include "vault/request_credentials.hpp"

namespace patchbay::vault {
namespace {

constexpr std::chrono::milliseconds kPatience{10'000};

Result<egress::HttpReply> good(const std::string& provider, Result<egress::HttpReply> reply) {
  if (!reply) return reply;
  if (reply->status / 100 == 2) return reply;
  const bool refused = reply->status == 401 || reply->status == 403;
  return fail(refused ? Errc::denied : Errc::unavailable, fmt::format("{} answered {}", provider, reply->status));
}

std::string text_at(const JsonView& root, const std::string& pointer) {
  if (pointer.empty()) return {};
  const auto value = root.at_pointer(pointer);
  if (!value) return {};
  return value.type() == JsonType::string ? std::string(value.string()) : value.to_string();
}

Account read_account(const plugin::AuthScheme& scheme, const std::string& body) {
  if (!scheme.identity) return {};
  const auto document = JsonDocument::parse(body);
  if (!document) return {};
  Account account{text_at((*document)->root(), scheme.identity->id), text_at((*document)->root(), scheme.identity->name)};
  if (account.name.empty()) account.name = account.id;
  return account;
}

}  // namespace

Result<Account> Accounts::identify(const std::string& provider, const plugin::AuthScheme& scheme, const Fields& fields) {
  if (!scheme.identity) return Account{};
  auto request = connections_.declared(provider, scheme.identity->request, fields);
  if (!request) return std::unexpected(request.error());
  const auto credentials = RequestCredentials::make(scheme, fields);
  if (!credentials) return std::unexpected(credentials.error());
  credentials->apply(*request);
  request->timeout = kPatience;
  auto reply = good(provider, egress::send_and_wait(loop_, plain_, *std::move(request)));
  if (!reply) return std::unexpected(reply.error());
  return read_account(scheme, reply->body);
}

Result<Account> Accounts::test(UserId user, ConnectionId id) {
  auto connection = connections_.find(user, id);
  if (!connection) return std::unexpected(connection.error());
  const auto scheme = connections_.scheme(connection->provider, connection->auth.empty() ? connection->auth_type : connection->auth);
  if (!scheme) return std::unexpected(scheme.error());
  auto request = connections_.test_request(id);
  if (!request) return std::unexpected(request.error());
  if (!*request) return fail(Errc::invalid, fmt::format("{} names no call to test '{}' with", connection->provider, scheme->id));
  (*request)->timeout = kPatience;
  auto reply = good(connection->provider, egress::send_and_wait(loop_, refreshing_, **std::move(request)));
  if (!reply) return std::unexpected(reply.error());
  return read_account(*scheme, reply->body);
}

Result<> Accounts::revoke(ConnectionId id) {
  const auto connection = connections_.find(id);
  if (!connection) return std::unexpected(connection.error());
  const auto scheme = connections_.scheme(connection->provider, connection->auth.empty() ? connection->auth_type : connection->auth);
  if (!scheme || !scheme->oauth) return {};
  auto fields = connections_.fields(id);
  if (!fields) return std::unexpected(fields.error());
  auto party = connections_.party(connection->provider, scheme->id, *fields);
  if (!party) return std::unexpected(party.error());
  if (party->scheme.revoke) {
    fields->insert_or_assign("client_id", Secret(party->client_id));
    fields->insert_or_assign("client_secret", party->client_secret);
    fields->insert_or_assign("username", Secret(party->client_id));
    fields->insert_or_assign("password", party->client_secret);
    auto request = connections_.declared(connection->provider, *party->scheme.revoke, *fields);
    if (!request) return std::unexpected(request.error());
    request->timeout = kPatience;
    auto reply = egress::send_and_wait(loop_, plain_, *std::move(request));
    if (reply && reply->status == 404) return {};  // it is gone already
    auto done = good(connection->provider, std::move(reply));
    return done ? Result<>{} : std::unexpected(done.error());
  }
  if (party->scheme.revoke_url.empty()) return {};
  // The refresh token's end is the end of all (RFC 7009, 2.1).
  const auto token = fields->contains("refresh_token") ? "refresh_token" : "access_token";
  if (!fields->contains(token)) return {};
  auto request = client_request(*party, party->scheme.revoke_url, {{"token", std::string(fields->at(token).reveal())}, {"token_type_hint", token}});
  request.timeout = kPatience;
  auto done = good(connection->provider, egress::send_and_wait(loop_, plain_, std::move(request)));
  return done ? Result<>{} : std::unexpected(done.error());
}

}  // namespace patchbay::vault
