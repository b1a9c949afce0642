#include "gateway/gateway.hpp"

#include <fmt/format.h>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include "core/log.hpp"
#include "gateway/connection.hpp"
#include "gateway/core.hpp"
#include "gateway/request_check.hpp"
#include "gateway/response.hpp"

namespace patchbay::gateway {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using Acceptor = asio::basic_socket_acceptor<tcp, asio::io_context::executor_type>;

constexpr std::chrono::milliseconds kSweep{250};
constexpr std::chrono::milliseconds kAcceptAgain{100};

Result<std::unique_ptr<asio::ssl::context>> make_tls(const GatewaySettings& settings) {
  if (settings.certificate_file.empty() && settings.private_key_file.empty()) return nullptr;
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  context->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                       asio::ssl::context::no_tlsv1_1);
  // Idle connections keep no buffers of OpenSSL's.
  ::SSL_CTX_set_mode(context->native_handle(), SSL_MODE_RELEASE_BUFFERS);
  ::SSL_CTX_set_options(context->native_handle(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  boost::system::error_code error;
  context->use_certificate_chain_file(settings.certificate_file, error);
  if (error) {
    return fail(Errc::unavailable, fmt::format("certificate {}: {}", settings.certificate_file, error.message()));
  }
  context->use_private_key_file(settings.private_key_file, asio::ssl::context::pem, error);
  if (error) return fail(Errc::unavailable, fmt::format("key {}: {}", settings.private_key_file, error.message()));
  return context;
}

}  // namespace

struct Gateway::Impl {
  Impl(Loop& loop, std::shared_ptr<Core> shared, std::unique_ptr<asio::ssl::context> context)
      : core(std::move(shared)),
        tls(std::move(context)),
        acceptor(loop.context()),
        sweeper(loop.context()),
        open(metrics::gauge("patchbay_gateway_connections", "Open connections")) {}

  Result<> listen() {
    boost::system::error_code error;
    const auto address = asio::ip::make_address(core->settings.address, error);
    if (error)
      return fail(Errc::invalid, fmt::format("'{}' is not an IP address to listen on", core->settings.address));
    const tcp::endpoint endpoint(address, core->settings.port);
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(Acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(4096, error);
    if (error) {
      return fail(Errc::unavailable, fmt::format("cannot listen on {}:{}: {}", core->settings.address,
                                                 core->settings.port, error.message()));
    }
    return {};
  }

  void accept() {
    acceptor.async_accept([this, alive = alive](const boost::system::error_code& error, Socket socket) {
      if (!*alive || !acceptor.is_open()) return;
      if (error) {  // out of descriptors, most likely: some will be free soon
        log::warn("gateway", "cannot accept: {}", error.message());
        return accept_later();
      }
      serve(std::move(socket));
      accept();
    });
  }

  void accept_later() {
    core->loop.after(kAcceptAgain, [this, alive = alive] {
      if (*alive && acceptor.is_open()) accept();
    });
  }

  void serve(Socket socket) {
    boost::system::error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    if (is_full(socket)) return turn_away(std::move(socket));
    if (tls) {
      serve_tls(std::move(socket), *tls, core);
    } else {
      serve_plain(std::move(socket), core);
    }
    open.set(static_cast<double>(core->connections.size()));
  }

  bool is_full(const Socket& socket) {
    if (core->connections.size() >= core->settings.connections) return true;
    const auto limit = core->settings.connections_per_address;
    if (limit == 0) return false;
    boost::system::error_code error;
    const auto peer = socket.remote_endpoint(error);
    if (error) return false;
    const auto found = core->per_address.find(peer.address().to_string());
    return found != core->per_address.end() && found->second >= limit;
  }

  // One try to say why: nothing is kept for a client that does not read it.
  void turn_away(Socket socket) {
    if (tls) return;
    const auto id = request_id_of({});
    auto response = problem(503, "overloaded", "too many connections", id);
    response.headers.emplace_back("Retry-After", "1");
    const auto text = serialise(response, id, false, false, false);
    boost::system::error_code ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(text), ignored);
    socket.shutdown(Socket::shutdown_send, ignored);
  }

  void sweep() {
    sweeper.expires_after(kSweep);
    sweeper.async_wait([this, alive = alive](const boost::system::error_code& error) {
      if (error || !*alive) return;
      const auto now = std::chrono::steady_clock::now();
      const std::vector<OpenConnection*> all(core->connections.begin(), core->connections.end());
      for (auto* connection : all) {
        if (core->connections.contains(connection)) connection->sweep(now);
      }
      open.set(static_cast<double>(core->connections.size()));
      sweep();
    });
  }

  void wait_until_empty(std::chrono::steady_clock::time_point deadline, std::shared_ptr<Task> done) {
    if (core->connections.empty() || std::chrono::steady_clock::now() >= deadline) return (*done)();
    core->loop.after(std::chrono::milliseconds{10}, [this, alive = alive, deadline, done] {
      if (*alive) wait_until_empty(deadline, done);
    });
  }

  std::shared_ptr<Core> core;
  std::unique_ptr<asio::ssl::context> tls;
  Acceptor acceptor;
  asio::steady_timer sweeper;
  metrics::Gauge open;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

Gateway::Gateway(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Gateway::~Gateway() {
  *impl_->alive = false;
  impl_->core->backend = nullptr;
  const std::vector<OpenConnection*> all(impl_->core->connections.begin(), impl_->core->connections.end());
  for (auto* connection : all) connection->abort();
}

Result<std::unique_ptr<Gateway>> Gateway::create(Loop& loop, Backend& backend, GatewaySettings settings) {
  auto trusted = Networks::parse(settings.trusted_proxies);
  if (!trusted) return fail(Errc::invalid, "server.trusted_proxies: " + trusted.error().message);
  auto tls = make_tls(settings);
  if (!tls) return std::unexpected(tls.error());
  auto core = std::make_shared<Core>(loop, backend, std::move(settings), *std::move(trusted));
  auto impl = std::make_unique<Impl>(loop, std::move(core), *std::move(tls));
  if (auto listening = impl->listen(); !listening) return std::unexpected(listening.error());
  impl->accept();
  impl->sweep();
  return std::unique_ptr<Gateway>(new Gateway(std::move(impl)));
}

std::uint16_t Gateway::port() const {
  boost::system::error_code ignored;
  return impl_->acceptor.local_endpoint(ignored).port();
}

void Gateway::drain(std::chrono::milliseconds limit, Task done) {
  boost::system::error_code ignored;
  impl_->acceptor.close(ignored);
  impl_->core->draining = true;
  const std::vector<OpenConnection*> all(impl_->core->connections.begin(), impl_->core->connections.end());
  for (auto* connection : all) connection->drain();
  impl_->wait_until_empty(std::chrono::steady_clock::now() + limit, std::make_shared<Task>(std::move(done)));
}

}  // namespace patchbay::gateway
