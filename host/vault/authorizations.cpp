#include "vault/authorizations.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <openssl/sha.h>

#include "core/log.hpp"
#include "egress/blocking.hpp"
#include "vault/purpose.hpp"

namespace patchbay::vault {
namespace {

using plugin::OAuthGrant;
using store::Param;
using store::Transaction;

constexpr std::int64_t kPendingPerUser = 50;
constexpr std::chrono::milliseconds kPatience{10'000};

std::string hash_of(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return to_hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

Param text_or_null(const std::string& text) { return text.empty() ? Param{nullptr} : Param{std::string_view(text)}; }

Scopes united(Scopes all, const Scopes& more) {
  all.insert(all.end(), more.begin(), more.end());
  return parse_scopes(to_text(all));
}

std::optional<Timestamp> time_at(const store::Row& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return from_micros(row.integer(column));
}

#define PATCHBAY_AUTHORIZATION                                                                                               \
  "id, user_id, provider, auth, grant_type, name, scopes, connection_id, sealed, status, error, interval_ms, poll_at, created_at, expires_at"

}  // namespace

struct Authorizations::Row {
  static Row read(const store::Row& from);  // of PATCHBAY_AUTHORIZATION

  AuthorizationId id;
  UserId user;
  std::string provider;
  std::string auth;
  OAuthGrant grant = OAuthGrant::authorization_code;
  std::string name;
  Scopes scopes;
  ConnectionId connection;
  std::string state_hash;
  Secret secret;  // PKCE verifier, device code
  std::string sealed;
  std::string status = "pending";
  std::string error;
  std::chrono::milliseconds interval{0};
  std::optional<Timestamp> poll_at;
  Timestamp created;
  Timestamp expires;
};

Authorizations::Row Authorizations::Row::read(const store::Row& from) {
  Row row;
  row.id = AuthorizationId::parse(from.text(0)).value_or(AuthorizationId{});
  row.user = UserId::parse(from.text(1)).value_or(UserId{});
  row.provider = from.text(2);
  row.auth = from.text(3);
  row.grant = plugin::parse_grant(from.text(4)).value_or(OAuthGrant::authorization_code);
  row.name = from.text(5);
  row.scopes = parse_scopes(from.text(6));
  row.connection = ConnectionId::parse(from.text(7)).value_or(ConnectionId{});
  row.sealed = from.blob(8);
  row.status = from.text(9);
  row.error = from.text(10);
  row.interval = std::chrono::milliseconds{from.integer(11)};
  row.poll_at = time_at(from, 12);
  row.created = from_micros(from.integer(13));
  row.expires = from_micros(from.integer(14));
  return row;
}

Authorization Authorizations::shown(const Row& row) const {
  Authorization shown{.id = row.id, .status = row.status, .error = row.error, .connection = row.connection, .expires = row.expires};
  if (row.status == "pending" && row.expires <= clock_.now()) shown.status = "expired";
  if (shown.status != "completed") shown.connection = {};
  return shown;
}

Result<Authorization> Authorizations::begin(UserId user, const AuthorizationWish& wish) {
  const auto now = clock_.now();
  Row row;
  row.id = AuthorizationId::make(now);
  row.user = user;
  row.provider = wish.provider;
  row.grant = wish.grant;
  row.name = wish.name;
  row.connection = wish.connection;
  row.created = now;
  row.expires = now + lifetime_;
  std::optional<Connection> before;
  if (!wish.connection.is_nil()) {
    auto found = connections_.find(user, wish.connection);
    if (!found) return std::unexpected(found.error());
    before = *std::move(found);
    row.provider = before->provider;
  }
  auto scheme = connections_.scheme_for(row.provider, before ? before->auth : wish.auth, wish.grant);
  if (!scheme) return std::unexpected(scheme.error());
  row.auth = scheme->id;
  auto party = connections_.party(row.provider, row.auth);
  if (!party) return std::unexpected(party.error());
  row.scopes = united(party->scheme.scopes, wish.scopes.value_or(before && before->scopes ? *before->scopes : connections_.all_scopes(row.provider)));
  if (before) row.scopes = united(row.scopes, before->scopes.value_or(Scopes{}));
  switch (wish.grant) {
    case OAuthGrant::authorization_code:
      return begin_code(std::move(row), *party);
    case OAuthGrant::device_code:
      return begin_device(std::move(row), *party);
    case OAuthGrant::client_credentials:
      return begin_alone(row, *party);
    case OAuthGrant::jwt_bearer:
      break;
  }
  return fail(Errc::invalid, "a service account is connected by its key: POST /api/v1/connections");
}

Result<Authorization> Authorizations::begin_code(Row row, const OAuthParty& party) {
  const auto state = random_token(32);
  row.state_hash = hash_of(state);
  std::string challenge;
  if (party.scheme.pkce) {
    auto pkce = make_pkce();
    row.secret = std::move(pkce.verifier);
    challenge = pkce.challenge;
  }
  if (auto added = insert(row); !added) return std::unexpected(added.error());
  auto made = shown(row);
  made.url = authorization_url(party, callback_url_, state, row.scopes, challenge);
  return made;
}

Result<Authorization> Authorizations::begin_device(Row row, const OAuthParty& party) {
  std::string scope;
  for (const auto& name : row.scopes) scope += (scope.empty() ? "" : party.scheme.scope_separator) + name;
  auto request = client_request(party, party.scheme.device_url, {{"scope", scope}});
  request.timeout = kPatience;
  auto reply = egress::send_and_wait(accounts_.loop(), accounts_.plain(), std::move(request));
  auto code = read_device_code(row.provider, reply);
  if (!code) return fail(code.error().fault == TokenFault::passing ? Errc::unavailable : Errc::invalid, code.error().message);
  row.secret = std::move(code->device_code);
  row.interval = code->interval;
  row.expires = row.created + code->expires_in;
  row.poll_at = row.created + code->interval;
  if (auto added = insert(row); !added) return std::unexpected(added.error());
  auto made = shown(row);
  made.user_code = code->user_code;
  made.verification_uri = code->verification_uri;
  made.verification_uri_complete = code->verification_uri_complete;
  made.interval = code->interval;
  return made;
}

Result<Authorization> Authorizations::begin_alone(const Row& row, const OAuthParty& party) {
  if (auto added = insert(row); !added) return std::unexpected(added.error());
  Form form{{"grant_type", "client_credentials"}};
  if (!row.scopes.empty()) form.emplace_back("scope", to_text(row.scopes));
  auto connected = take(row, exchange(row, party, std::move(form)));
  if (!connected) return std::unexpected(connected.error());
  auto done = shown(row);
  done.status = "completed";
  done.connection = connected->id;
  return done;
}

Result<> Authorizations::insert(const Row& row) {
  const auto sealed = vault_.seal(row.secret, authorization_purpose(row.id.to_string(), row.user));
  if (!sealed) return std::unexpected(sealed.error());
  return database_.write([&](Transaction& transaction) -> Result<> {
    auto swept = transaction.execute("DELETE FROM authorizations WHERE expires_at < $1", {micros(row.created - std::chrono::hours{24})});
    if (!swept) return std::unexpected(swept.error());
    std::int64_t pending = 0;
    auto counted = transaction.execute("SELECT COUNT(*) FROM authorizations WHERE user_id = $1 AND status = 'pending' AND expires_at > $2",
                                       {std::string_view(row.user.to_string()), micros(row.created)},
                                       [&](const store::Row& found) { pending = found.integer(0); });
    if (!counted) return std::unexpected(counted.error());
    if (pending >= kPendingPerUser) return fail(Errc::exhausted, fmt::format("{} sign-ins are under way already: finish one, or wait until they expire", pending));
    auto added = transaction.execute(
        "INSERT INTO authorizations (id, user_id, provider, auth, grant_type, name, scopes, connection_id, state_hash, sealed, status, interval_ms, "
        "poll_at, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        {std::string_view(row.id.to_string()), std::string_view(row.user.to_string()), std::string_view(row.provider), std::string_view(row.auth),
         plugin::name_of(row.grant), std::string_view(row.name), std::string_view(to_text(row.scopes)),
         row.connection.is_nil() ? Param{nullptr} : Param{std::string_view(row.connection.to_string())}, text_or_null(row.state_hash),
         store::Blob{*sealed}, std::string_view(row.status), std::int64_t{row.interval.count()}, row.poll_at ? Param{micros(*row.poll_at)} : Param{nullptr},
         micros(row.created), micros(row.expires)});
    if (!added) return std::unexpected(added.error());
    return {};
  });
}

Result<Connection> Authorizations::come_back(const std::string& state, const std::string& code, const std::string& error) {
  std::optional<Row> row;
  // Taken once, whatever comes of it.
  auto taken = database_.write([&](Transaction& transaction) -> Result<> {
    row.reset();
    auto rows = transaction.execute("UPDATE authorizations SET state_hash = NULL WHERE state_hash = $1 AND status = 'pending' RETURNING " PATCHBAY_AUTHORIZATION,
                                    {std::string_view(hash_of(state))}, [&](const store::Row& found) { row = Row::read(found); });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!taken) return std::unexpected(taken.error());
  if (!row) return fail(Errc::denied, "this sign-in is not known here, or was used already: begin it again");
  if (row->expires <= clock_.now()) return take(*row, fail(Errc::denied, "this sign-in took too long: begin it again"));
  if (!error.empty()) return take(*row, fail(Errc::denied, fmt::format("{} answered: {}", row->provider, error.substr(0, 100))));
  if (code.empty()) return take(*row, fail(Errc::denied, row->provider + " sent no code"));
  auto verifier = vault_.open_envelope(row->sealed, authorization_purpose(row->id.to_string(), row->user));
  if (!verifier) return take(*row, std::unexpected(verifier.error()));
  auto party = connections_.party(row->provider, row->auth);
  if (!party) return take(*row, std::unexpected(party.error()));
  Form form{{"grant_type", "authorization_code"}, {"code", code}, {"redirect_uri", callback_url_}};
  if (!verifier->empty()) form.emplace_back("code_verifier", std::string(verifier->reveal()));
  return take(*row, exchange(*row, *party, std::move(form)));
}

Result<Connection> Authorizations::exchange(const Row& row, const OAuthParty& party, Form form) {
  for (const auto& [name, value] : party.scheme.token_params) form.emplace_back(name, value);
  auto request = client_request(party, party.scheme.token_url, std::move(form));
  request.timeout = kPatience;
  auto reply = egress::send_and_wait(accounts_.loop(), accounts_.plain(), std::move(request));
  auto tokens = read_tokens(row.provider, reply);
  if (!tokens) return fail(tokens.error().fault == TokenFault::passing ? Errc::unavailable : Errc::denied, tokens.error().message);
  return connect(row, *std::move(tokens), {});
}

Result<Connection> Authorizations::connect(const Row& row, Tokens tokens, Fields fields) {
  fields.insert_or_assign("access_token", std::move(tokens.access_token));
  if (!tokens.refresh_token.empty()) fields.insert_or_assign("refresh_token", std::move(tokens.refresh_token));
  const auto scheme = connections_.scheme(row.provider, row.auth);
  if (!scheme) return std::unexpected(scheme.error());
  SignedIn account{.user = row.user, .provider = row.provider, .auth = row.auth, .name = row.name, .connection = row.connection,
                   .fields = std::move(fields), .account_id = {}, .account_name = {}, .scopes = tokens.scopes.value_or(row.scopes), .expires = {}};
  if (tokens.expires_in) account.expires = clock_.now() + *tokens.expires_in;
  if (row.grant == OAuthGrant::client_credentials) account.fields.insert_or_assign("grant", Secret("client_credentials"));
  auto who = accounts_.identify(row.provider, *scheme, account.fields);
  if (!who && row.grant != OAuthGrant::client_credentials) return std::unexpected(who.error());  // an application need not be anybody
  if (who) {
    account.account_id = who->id;
    account.account_name = who->name;
  }
  return connections_.sign_in(std::move(account));
}

// Notes how it ended, and tells.
Result<Connection> Authorizations::take(const Row& row, Result<Connection> outcome) {
  const auto id = row.id.to_string();
  const auto connection = outcome ? outcome->id.to_string() : "";
  const auto error = outcome ? "" : outcome.error().message;
  auto noted = database_.write([&](Transaction& transaction) -> Result<> {
    auto updated = transaction.execute("UPDATE authorizations SET status = $2, error = $3, connection_id = $4, sealed = $5 WHERE id = $1",
                                       {std::string_view(id), std::string_view(outcome ? "completed" : "failed"), text_or_null(error),
                                        text_or_null(connection), store::Blob{""}});
    if (!updated) return std::unexpected(updated.error());
    return {};
  });
  if (!noted) log::error("vault", "authorization {}: {}", id, noted.error().message);
  if (!outcome) log::warn("vault", "authorization {} of {} failed: {}", id, row.provider, outcome.error().message);
  return outcome;
}

Result<Authorization> Authorizations::find(UserId user, AuthorizationId id) {
  std::optional<Row> row;
  auto read = database_.read([&](Transaction& transaction) -> Result<> {
    row.reset();
    auto rows = transaction.execute("SELECT " PATCHBAY_AUTHORIZATION " FROM authorizations WHERE id = $1 AND user_id = $2",
                                    {std::string_view(id.to_string()), std::string_view(user.to_string())},
                                    [&](const store::Row& found) { row = Row::read(found); });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  if (!row) return fail(Errc::not_found, "there is no authorization " + id.to_string());
  return shown(*row);
}

Result<> Authorizations::ask_devices() {
  std::vector<Row> due;
  const auto now = clock_.now();
  auto read = database_.read([&](Transaction& transaction) -> Result<> {
    due.clear();
    auto rows = transaction.execute("SELECT " PATCHBAY_AUTHORIZATION " FROM authorizations WHERE poll_at <= $1 AND expires_at > $1 "
                                    "AND status = 'pending' ORDER BY poll_at LIMIT 10",
                                    {micros(now)}, [&](const store::Row& found) { due.push_back(Row::read(found)); });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return read;
  for (auto& row : due) {
    if (auto asked = ask_device(row); !asked) return asked;
  }
  return {};
}

Result<> Authorizations::expire(const Row& row) {
  return database_.write([&](Transaction& transaction) -> Result<> {
    auto updated = transaction.execute("UPDATE authorizations SET status = 'expired', poll_at = NULL, sealed = $2 WHERE id = $1 AND status = 'pending'",
                                       {std::string_view(row.id.to_string()), store::Blob{""}});
    if (!updated) return std::unexpected(updated.error());
    return {};
  });
}

Result<> Authorizations::ask_device(Row& row) {
  // Whoever moves the time on is the one that asks: others see it pending.
  const auto now = clock_.now();
  const auto move = [&](Timestamp to) {
    std::int64_t moved = 0;
    auto written = database_.write([&](Transaction& transaction) -> Result<> {
      auto updated = transaction.execute("UPDATE authorizations SET poll_at = $3, interval_ms = $4 WHERE id = $1 AND status = 'pending' AND poll_at = $2",
                                         {std::string_view(row.id.to_string()), micros(*row.poll_at), micros(to), std::int64_t{row.interval.count()}});
      if (!updated) return std::unexpected(updated.error());
      moved = *updated;
      return {};
    });
    row.poll_at = to;
    return written && moved == 1;
  };
  if (!move(now + row.interval + kPatience)) return {};
  auto code = vault_.open_envelope(row.sealed, authorization_purpose(row.id.to_string(), row.user));
  if (!code) return std::unexpected(code.error());
  auto party = connections_.party(row.provider, row.auth);
  if (!party) return std::unexpected(party.error());
  auto request = client_request(*party, party->scheme.token_url,
                                {{"grant_type", "urn:ietf:params:oauth:grant-type:device_code"}, {"device_code", std::string(code->reveal())}});
  request.timeout = kPatience;
  auto reply = egress::send_and_wait(accounts_.loop(), accounts_.plain(), std::move(request));
  auto tokens = read_tokens(row.provider, reply);
  const auto fault = tokens ? TokenFault::pending : tokens.error().fault;
  if (!tokens && (fault == TokenFault::pending || fault == TokenFault::slow_down || fault == TokenFault::passing)) {
    if (fault == TokenFault::slow_down) row.interval += std::chrono::seconds{5};  // RFC 8628, 3.5
    (void)move(clock_.now() + row.interval);
    return {};
  }
  if (fault == TokenFault::expired) return expire(row);
  auto outcome = take(row, tokens ? connect(row, *std::move(tokens), {}) : Result<Connection>(fail(Errc::denied, tokens.error().message)));
  row.status = outcome ? "completed" : "failed";
  if (outcome) row.connection = outcome->id;
  else row.error = outcome.error().message;
  return {};
}

}  // namespace patchbay::vault
