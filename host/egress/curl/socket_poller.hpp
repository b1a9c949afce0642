#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "core/error.hpp"

namespace patchbay::egress {

// Tells libcurl's multi handle which sockets are ready. The sockets are in an epoll set of its own, level-triggered,
// and only that set is known to asio: a socket that carries one request after the other stays registered and costs no
// system call between them (asio's own would cost one for each wait), and all that is ready is fetched at once.
// On the loop only.
class SocketPoller {
 public:
  struct Events {
    std::function<void(int socket, bool readable, bool writable)> ready;
    std::function<void()> batch_done;  // after the ready calls of one wake-up; may destroy the poller
  };
  [[nodiscard]] static Result<std::unique_ptr<SocketPoller>> create(boost::asio::io_context& context, Events events);

  void opened(int socket);  // made by us: will be told of closed()
  void closed(int socket);  // just before it is
  // What is waited for from now on. Neither: the connection is idle.
  void watch(int socket, bool read, bool write);

 private:
  // By file descriptor: small numbers.
  struct State {
    std::uint32_t registered = 0;  // with epoll
    std::uint32_t wanted = 0;
    bool ours = false;
  };

  SocketPoller(boost::asio::io_context& context, int epoll, Events events);
  State& state(int socket);
  void set_registered(int socket, State& state, std::uint32_t events);
  void wait();
  void woken();

  boost::asio::posix::stream_descriptor epoll_;
  Events events_;
  std::vector<State> states_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();  // handlers that are late see that it went
};

}  // namespace patchbay::egress
