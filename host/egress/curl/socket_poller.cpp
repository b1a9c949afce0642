#include "egress/curl/socket_poller.hpp"

#include <array>

#include <sys/epoll.h>

namespace patchbay::egress {

Result<std::unique_ptr<SocketPoller>> SocketPoller::create(boost::asio::io_context& context, Events events) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return fail(Errc::unavailable, "no file descriptor left for the http client");
  std::unique_ptr<SocketPoller> poller(new SocketPoller(context, epoll, std::move(events)));
  poller->wait();
  return poller;
}

SocketPoller::SocketPoller(boost::asio::io_context& context, int epoll, Events events)
    : epoll_(context, epoll), events_(std::move(events)) {}

SocketPoller::State& SocketPoller::state(int socket) {
  const auto index = static_cast<std::size_t>(socket);
  if (index >= states_.size()) states_.resize(index + 64);
  return states_[index];
}

void SocketPoller::opened(int socket) { state(socket) = State{.ours = true}; }

void SocketPoller::closed(int socket) {
  auto& entry = state(socket);
  set_registered(socket, entry, 0);
  entry = State{};
}

void SocketPoller::watch(int socket, bool read, bool write) {
  auto& entry = state(socket);
  entry.wanted = (read ? EPOLLIN : 0U) | (write ? EPOLLOUT : 0U);
  if (entry.wanted == 0) {
    // An idle connection stays registered for its next request. The sockets of libcurl's resolver threads are closed
    // right after this without our being told.
    set_registered(socket, entry, entry.ours ? entry.registered & ~EPOLLOUT : 0);
  } else {
    set_registered(socket, entry, entry.wanted);
  }
}

void SocketPoller::set_registered(int socket, State& entry, std::uint32_t events) {
  if (entry.registered == events) return;
  const int operation = entry.registered == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
  epoll_event event{};
  event.events = events;
  event.data.fd = socket;
  // A refusal (no memory, too many watches) leaves the transfer to its time-out.
  entry.registered = epoll_ctl(epoll_.native_handle(), operation, socket, &event) == 0 ? events : 0;
}

void SocketPoller::wait() {
  epoll_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                    [this, alive = std::weak_ptr<char>(alive_)](const boost::system::error_code& error) {
                      if (error || alive.expired()) return;
                      woken();
                    });
}

void SocketPoller::woken() {
  std::array<epoll_event, 256> ready;
  const int count = epoll_wait(epoll_.native_handle(), ready.data(), ready.size(), 0);
  for (int i = 0; i < count; ++i) {
    const auto& event = ready[static_cast<std::size_t>(i)];
    const int socket = event.data.fd;
    auto& entry = state(socket);
    if (entry.wanted == 0) {
      // The other side closed a connection that nobody uses: libcurl finds out when it wants to use it again.
      set_registered(socket, entry, 0);
      continue;
    }
    const bool failed = (event.events & (EPOLLERR | EPOLLHUP)) != 0;  // read or write finds out what it is
    events_.ready(socket, failed || (event.events & EPOLLIN) != 0, failed || (event.events & EPOLLOUT) != 0);
  }
  wait();  // looks at the set anew, so what did not fit in is not lost
  events_.batch_done();
}

}  // namespace patchbay::egress
