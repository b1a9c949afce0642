#include "app/service_manager.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace patchbay::app {

void notify_service_manager(std::string_view lines) {
  const char* place = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // A path, or "@" for a name that no file system has.
  if (place == nullptr || (place[0] != '/' && place[0] != '@') || std::strlen(place) >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, place, std::strlen(place));
  if (place[0] == '@') address.sun_path[0] = '\0';
  const int file = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (file < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(place));
  (void)::sendto(file, lines.data(), lines.size(), MSG_NOSIGNAL | MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&address), size);
  ::close(file);
}

std::optional<std::chrono::milliseconds> watchdog_interval() {
  const char* text = std::getenv("WATCHDOG_USEC");
  if (text == nullptr) return std::nullopt;
  std::int64_t micros = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), micros);
  if (error != std::errc{} || *end != '\0' || micros < 2'000) return std::nullopt;
  return std::chrono::milliseconds{micros / 2'000};
}

}  // namespace patchbay::app
