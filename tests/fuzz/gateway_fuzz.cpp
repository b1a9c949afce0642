// Bytes of a stranger against a real gateway on loopback. The input is what one connection sends: a byte 0xff ends a
// piece, so that the fuzzer decides also where reads are split.
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "core/log.hpp"
#include "core/loop.hpp"
#include "gateway/gateway.hpp"

namespace {

using namespace patchbay;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s (errno %d: %s)\n", what, errno, std::strerror(errno));
  std::abort();
}

class CheckingBackend : public gateway::Backend {
 public:
  void hook(gateway::HookRequest request, Respond respond) override {
    check(!request.token.empty(), "a hook has a token");
    for (const auto& [name, value] : request.headers) {
      check(name.find_first_of("\r\n ") == std::string::npos, "a header's name is one word");
      check(value.find_first_of("\r\n") == std::string::npos, "a header's value is one line");
    }
    respond({204, "", "", 0});
  }
  bool ready(std::string&) const override { return true; }
  std::string about_json(std::string_view) const override { return "{}"; }
  std::string metrics() const override { return "m 1\n"; }
};

struct World {
  World() {
    log::configure({.level = log::Level::off, .json = false, .file = ""});
    gateway::GatewaySettings settings;
    settings.port = 0;
    settings.body_limit_bytes = 64 << 10;
    settings.api_port = 1;  // nobody is there: 502
    auto made = gateway::Gateway::create(loop, backend, settings);
    check(made.has_value(), "the gateway listens");
    gateway = *std::move(made);
  }
  Loop loop;
  CheckingBackend backend;
  std::unique_ptr<gateway::Gateway> gateway;
};

World& world() {
  static World instance;
  return instance;
}

// libFuzzer's alarm interrupts: a connect() that it interrupts goes on by itself (POSIX connect, EINTR).
bool connect_to(int fd, const sockaddr_in& address) {
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
  if (errno != EINTR) return false;
  pollfd waiting{fd, POLLOUT, 0};
  while (::poll(&waiting, 1, -1) < 0 && errno == EINTR) continue;
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto& it = world();
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  check(fd >= 0, "there is a socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(it.gateway->port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // From an address of its own each time: what the gateway closes first stays in TIME_WAIT and keeps its client's port.
  static std::uint32_t number = 0;
  sockaddr_in from = address;
  from.sin_port = 0;
  from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + ++number % 0xfff0);
  check(::bind(fd, reinterpret_cast<sockaddr*>(&from), sizeof from) == 0, "there is an address");
  check(connect_to(fd, address), "the gateway accepts");
  const linger reset{1, 0};  // no port is left in TIME_WAIT
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  ::fcntl(fd, F_SETFL, O_NONBLOCK);

  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::string received;
  const auto turn = [&] {
    for (int i = 0; i < 2; ++i) it.loop.run_ready();
    char buffer[4096];
    for (ssize_t count = 0; (count = ::recv(fd, buffer, sizeof buffer, 0)) > 0;) received.append(buffer, static_cast<std::size_t>(count));
  };
  while (!rest.empty()) {
    const auto piece = rest.substr(0, rest.find('\xff'));
    rest.remove_prefix(std::min(rest.size(), piece.size() + 1));
    if (!piece.empty()) (void)!::send(fd, piece.data(), piece.size(), MSG_NOSIGNAL);
    turn();
  }
  turn();
  check(received.empty() || received.starts_with("HTTP/1."), "an answer begins as one");
  ::close(fd);
  it.loop.run_ready();
  return 0;
}
