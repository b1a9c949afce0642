#include "vault/authorizing_client.hpp"

#include <unordered_map>
#include <utility>

namespace patchbay::vault {
namespace {

using egress::HttpReply;
using egress::HttpRequest;

constexpr int kUnauthorized = 401;
constexpr egress::HttpClient::Handle kOwn = 1ULL << 63;  // tells handles of this client from those of the inner one

class AuthorizingClient final : public egress::HttpClient {
 public:
  AuthorizingClient(const Clock& clock, egress::HttpClient& inner, Connections& connections, TokenRefresher& refresher)
      : clock_(clock), inner_(inner), connections_(connections), refresher_(refresher) {}

  ~AuthorizingClient() override {
    *alive_ = false;
    for (auto& [handle, exchange] : exchanges_) {
      if (exchange.inner != 0) inner_.cancel(exchange.inner);
      exchange.done(fail(Errc::cancelled, "http client is gone"));
    }
  }

  Handle send(HttpRequest request, Done done) override {
    if (request.connection.is_nil()) return inner_.send(std::move(request), std::move(done));  // nothing to add, nothing to keep
    const auto handle = kOwn | ++last_;
    auto& exchange = exchanges_[handle];
    exchange.done = std::move(done);
    exchange.connection = request.connection;
    if (connections_.standing(request.connection)) {
      begin(handle, std::move(request));
      return handle;
    }
    const auto connection = request.connection;
    refresher_.look_up(connection, [this, alive = alive_, handle, request = std::move(request)]() mutable {
      if (*alive && goes_on(handle)) begin(handle, std::move(request));
    });
    return handle;
  }

  void cancel(Handle handle) override {
    if ((handle & kOwn) == 0) return inner_.cancel(handle);
    const auto found = exchanges_.find(handle);
    if (found == exchanges_.end()) return;
    if (found->second.inner != 0) return inner_.cancel(found->second.inner);  // it answers, and that ends it
    found->second.cancelled = true;                                           // when the new token is there
  }

 private:
  struct Exchange {
    Done done;
    ConnectionId connection;
    std::optional<HttpRequest> again;
    Handle inner = 0;
    int version = 0;
    bool cancelled = false;
  };

  [[nodiscard]] Standing standing_of(ConnectionId id) const { return connections_.standing(id).value_or(Standing{}); }

  // False: it was cancelled while it waited.
  bool goes_on(Handle handle) {
    const auto found = exchanges_.find(handle);
    if (found == exchanges_.end()) return false;
    if (found->second.cancelled) finish(handle, fail(Errc::cancelled, "http request was cancelled"));
    return exchanges_.contains(handle);
  }

  void begin(Handle handle, HttpRequest request) {
    auto& exchange = exchanges_.at(handle);
    const auto standing = standing_of(exchange.connection);
    if (standing.renewable) exchange.again = request;  // for the one time that a token turns out to be no good
    // Some providers end the old token with the new one, so nobody sets out with it while that is on its way.
    const bool on_its_way = standing.renewable && refresher_.is_renewing(exchange.connection);
    const bool has_expired = standing.renewable && standing.expires && clock_.now() >= *standing.expires;
    if (on_its_way || has_expired) return renew(handle, standing.version, std::move(request));
    pass(handle, std::move(request));
  }

  void pass(Handle handle, HttpRequest request) {
    auto& exchange = exchanges_.at(handle);
    exchange.version = standing_of(exchange.connection).version;
    exchange.inner = inner_.send(std::move(request), [this, alive = alive_, handle](Result<HttpReply> reply) mutable {
      if (*alive) answered(handle, std::move(reply));
    });
  }

  void renew(Handle handle, int version, HttpRequest request, TokenRefresher::Why why = TokenRefresher::Why::expires) {
    refresher_.renew(exchanges_.at(handle).connection, version, why, [this, alive = alive_, handle, request = std::move(request)](Result<> renewed) mutable {
      if (!*alive) return;
      if (!goes_on(handle)) return;
      if (!renewed && !is_still_good(handle)) return finish(handle, std::unexpected(renewed.error()));
      pass(handle, std::move(request));
    });
  }

  // After a request rather than beside it, for the old token may end with the new one.
  void renew_if_due(const Exchange& exchange) {
    const auto standing = standing_of(exchange.connection);
    const bool due = standing.renewable && standing.expires && clock_.now() >= *standing.expires - standing.lead;
    if (due && standing.version == exchange.version) refresher_.renew(exchange.connection, standing.version, TokenRefresher::Why::expires, [](Result<>) {});
  }

  // The token that could not be renewed has its time yet, and was not refused.
  [[nodiscard]] bool is_still_good(Handle handle) const {
    const auto& exchange = exchanges_.at(handle);
    const auto standing = standing_of(exchange.connection);
    return exchange.again && standing.state == ConnectionState::active && standing.expires && clock_.now() < *standing.expires;
  }

  void answered(Handle handle, Result<HttpReply> reply) {
    auto& exchange = exchanges_.at(handle);
    exchange.inner = 0;
    renew_if_due(exchange);
    if (!reply || reply->status != kUnauthorized) return finish(handle, std::move(reply));
    if (auto again = std::exchange(exchange.again, std::nullopt)) {
      return renew(handle, exchange.version, *std::move(again), TokenRefresher::Why::refused);
    }
    refresher_.refused(exchange.connection, exchange.version, "the provider answered 401",
                       [this, alive = alive_, handle, reply = std::move(reply)](Result<>) mutable {
                         if (*alive) finish(handle, std::move(reply));
                       });
  }

  void finish(Handle handle, Result<HttpReply> reply) {
    auto node = exchanges_.extract(handle);
    if (node) node.mapped().done(std::move(reply));
  }

  const Clock& clock_;
  egress::HttpClient& inner_;
  Connections& connections_;
  TokenRefresher& refresher_;
  Handle last_ = 0;
  std::unordered_map<Handle, Exchange> exchanges_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

std::unique_ptr<egress::HttpClient> make_authorizing_client(const Clock& clock, egress::HttpClient& inner, Connections& connections,
                                                            TokenRefresher& refresher) {
  return std::make_unique<AuthorizingClient>(clock, inner, connections, refresher);
}

}  // namespace patchbay::vault
