#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/error.hpp"
#include "core/loop.hpp"

namespace patchbay::plugin {

// Tells which files of a folder were written, moved in, moved out or removed (inotify(7)). On the loop's thread only.
class FolderWatch {
 public:
  // changed gets the name within the folder. It is also called for every name known to be there when the system has
  // lost notices. Errc::unavailable: the folder cannot be watched, for want of watches or of the folder.
  [[nodiscard]] static Result<std::unique_ptr<FolderWatch>> create(Loop& loop, const std::string& folder,
                                                                   std::function<void(const std::string&)> changed);
  ~FolderWatch();

 private:
  struct Impl;
  explicit FolderWatch(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

}  // namespace patchbay::plugin
