#include "plugin/folder_watch.hpp"

#include <array>
#include <cstring>
#include <filesystem>

#include <sys/inotify.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <fmt/format.h>

#include "core/log.hpp"

namespace patchbay::plugin {

namespace asio = boost::asio;

struct FolderWatch::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& context, int descriptor, std::string folder, std::function<void(const std::string&)> changed)
      : notices(context, descriptor), folder(std::move(folder)), changed(std::move(changed)) {}

  void read() {
    notices.async_read_some(asio::buffer(buffer),
                            [self = shared_from_this()](const boost::system::error_code& error, std::size_t size) {
                              if (error || !self->notices.is_open()) return;
                              self->tell(size);
                              if (self->notices.is_open()) self->read();
                            });
  }

  void tell(std::size_t size) {
    for (std::size_t at = 0; at + sizeof(inotify_event) <= size;) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      const char* name = buffer.data() + at + sizeof event;
      at += sizeof event + event.len;
      if ((event.mask & IN_Q_OVERFLOW) != 0) tell_all();
      if (event.len > 0) changed(std::string(name, ::strnlen(name, event.len)));
    }
  }

  void tell_all() {
    log::warn("plugin", "notices of {} were lost: every file of it is looked at", folder);
    std::error_code error;
    for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
      changed(at->path().filename().string());
    }
  }

  asio::posix::stream_descriptor notices;
  std::string folder;
  std::function<void(const std::string&)> changed;
  std::array<char, 16 << 10> buffer{};
};

Result<std::unique_ptr<FolderWatch>> FolderWatch::create(Loop& loop, const std::string& folder,
                                                         std::function<void(const std::string&)> changed) {
  const int descriptor = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (descriptor < 0) return fail(Errc::unavailable, fmt::format("inotify: {}", std::strerror(errno)));
  auto impl = std::make_shared<Impl>(loop.context(), descriptor, folder, std::move(changed));
  constexpr std::uint32_t kMask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE;
  if (::inotify_add_watch(descriptor, folder.c_str(), kMask) < 0) {
    return fail(Errc::unavailable, fmt::format("the folder {} cannot be watched: {}", folder, std::strerror(errno)));
  }
  impl->read();
  return std::unique_ptr<FolderWatch>(new FolderWatch(std::move(impl)));
}

FolderWatch::~FolderWatch() { impl_->notices.close(); }

}  // namespace patchbay::plugin
