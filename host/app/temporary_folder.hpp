#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace patchbay::app {

// A folder of mode 0700 under a name that nobody can foresee, for private copies of plugins; removed with this.
class TemporaryFolder {
 public:
  TemporaryFolder() : path_((std::filesystem::temp_directory_path() / "patchbay-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }  // empty: none could be made

 private:
  std::string path_;
};

}  // namespace patchbay::app
