#include "plugin/isolation/wire.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace patchbay::plugin::isolation {
namespace {

constexpr std::size_t kReadSize = 256 << 10;

// Waking the other side costs more than what it is woken for (measured: 35 µs in a virtual machine, against 10 µs of work),
// so it is done at most this often: the first words go out at once, what follows them soon gathers.
constexpr std::chrono::microseconds kGather{2'000};

}  // namespace

struct Channel::Impl : std::enable_shared_from_this<Channel::Impl> {
  using Socket = boost::asio::local::stream_protocol::socket;

  Impl(boost::asio::io_context& context, int descriptor) : socket(context), gathering(context) {
    socket.assign(boost::asio::local::stream_protocol(), descriptor);
    socket.non_blocking(true);
  }

  void read() {
    socket.async_wait(Socket::wait_read, [self = shared_from_this()](const boost::system::error_code& error) {
      if (!error && self->open) self->take();
    });
  }

  void take() {
    const auto count = ::recv(socket.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) return ended();
    const auto keep = shared_from_this();
    const std::string_view came(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    // Whole frames are read where they are; only the piece of one that is not whole yet is kept.
    if (partial.empty()) {
      partial.assign(frames_of(came));
    } else {
      partial.append(came);
      const auto rest = frames_of(partial).size();
      partial.erase(0, partial.size() - rest);
    }
    if (open) read();
  }

  // Hands the whole frames on; returns what is left.
  std::string_view frames_of(std::string_view bytes) {
    while (open && bytes.size() >= sizeof(std::uint32_t)) {
      std::uint32_t size = 0;
      std::memcpy(&size, bytes.data(), sizeof size);
      if (size == 0 || size > kLargestFrame) {
        ended();
        break;
      }
      if (bytes.size() - sizeof size < size) break;
      const auto frame = bytes.substr(sizeof size, size);
      bytes.remove_prefix(sizeof size + size);
      on_frame(static_cast<Kind>(frame.front()), frame.substr(1));
    }
    return bytes;
  }

  // What is said in one turn of the loop goes out together.
  void flush_soon() {
    if (waiting || std::exchange(flushing, true)) return;
    auto flush = [self = shared_from_this()] {
      self->flushing = false;
      if (self->open && !self->waiting) self->write();
    };
    const auto next = last_write + kGather;
    if (next <= std::chrono::steady_clock::now()) return boost::asio::post(socket.get_executor(), std::move(flush));
    gathering.expires_at(next);
    gathering.async_wait([flush = std::move(flush)](const boost::system::error_code&) { flush(); });
  }

  void write() {
    last_write = std::chrono::steady_clock::now();
    while (!outgoing.empty()) {
      const auto count = ::send(socket.native_handle(), outgoing.data() + sent, outgoing.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (count < 0 && errno == EAGAIN) return wait_to_write();
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return;  // the reading side notices
      sent += static_cast<std::size_t>(count);
      if (sent < outgoing.size()) continue;
      outgoing.clear();
      sent = 0;
    }
  }

  void wait_to_write() {
    if (std::exchange(waiting, true)) return;
    socket.async_wait(Socket::wait_write, [self = shared_from_this()](const boost::system::error_code& error) {
      self->waiting = false;
      if (!error && self->open) self->write();
    });
  }

  void ended() {
    if (!std::exchange(open, false)) return;
    gathering.cancel();
    boost::system::error_code ignored;
    socket.close(ignored);
    if (auto tell = std::exchange(on_closed, nullptr)) tell();
  }

  Socket socket;
  boost::asio::steady_timer gathering;
  std::chrono::steady_clock::time_point last_write{};
  bool open = true;
  bool waiting = false;
  bool flushing = false;
  std::vector<char> buffer = std::vector<char>(kReadSize);
  std::string partial;
  std::string outgoing;
  std::size_t sent = 0;
  OnFrame on_frame;
  OnClosed on_closed;
};

Channel::Channel(boost::asio::io_context& context, int descriptor) : impl_(std::make_shared<Impl>(context, descriptor)) {}
Channel::~Channel() { close(); }

void Channel::start(OnFrame on_frame, OnClosed on_closed) {
  impl_->on_frame = std::move(on_frame);
  impl_->on_closed = std::move(on_closed);
  impl_->read();
}

void Channel::send(std::string frame) {
  if (!impl_->open) return;
  if (impl_->outgoing.empty()) {
    impl_->outgoing = std::move(frame);
  } else {
    impl_->outgoing += frame;
  }
  if (impl_->outgoing.size() - impl_->sent > 2 * kLargestFrame) return impl_->ended();
  impl_->flush_soon();
}

void Channel::close() {
  impl_->on_closed = nullptr;
  impl_->ended();
}

Result<> write_frame(int descriptor, std::string_view frame) {
  while (!frame.empty()) {
    const auto count = ::send(descriptor, frame.data(), frame.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return fail(Errc::unavailable, "the plugin's process is gone");
    frame.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

Result<std::string> read_frame(int descriptor, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  std::string bytes;
  std::size_t wanted = sizeof(std::uint32_t);
  while (bytes.size() < wanted) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd waiting{descriptor, POLLIN, 0};
    if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) == 0) {
      return fail(Errc::timeout, "the plugin's process did not answer in time");
    }
    const auto filled = bytes.size();
    bytes.resize(wanted);
    const auto count = ::recv(descriptor, bytes.data() + filled, wanted - filled, 0);
    bytes.resize(filled + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (count == 0 || (count < 0 && errno != EINTR)) return fail(Errc::unavailable, "the plugin's process is gone");
    if (bytes.size() != sizeof(std::uint32_t) || wanted != sizeof(std::uint32_t)) continue;
    std::uint32_t size = 0;
    std::memcpy(&size, bytes.data(), sizeof size);
    if (size == 0 || size > kLargestFrame) return fail(Errc::invalid, "the plugin's process talks nonsense");
    wanted += size;
  }
  return bytes.substr(sizeof(std::uint32_t));
}

}  // namespace patchbay::plugin::isolation
