#pragma once

#include <filesystem>

namespace patchbay::app {

// The folder of this program; its helpers lie beside it, in an installation and in the build tree.
inline std::filesystem::path program_folder() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

}  // namespace patchbay::app
