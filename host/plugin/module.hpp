#pragma once

#include <memory>
#include <string>

#include <patchbay/plugin.h>

#include "core/error.hpp"
#include "plugin/manifest.hpp"

namespace patchbay::plugin {

// A shared object that was loaded and whose table and manifest were checked. Its code stays mapped for as long as the
// process lives: nobody has made unloading safe (docs/decisions/0006-plugins-stay-mapped.md).
struct Module {
  std::string file;    // where it came from
  std::string sha256;  // of the bytes that are mapped
  const pbay_plugin* table = nullptr;
  Manifest manifest;
};

// Copies file to private_folder (made with mode 0700) under a name that was never used, and loads the copy: a rebuild
// in place cannot touch what is mapped, and the loader cannot answer with an object that it has already. Error: one
// line that says why it was refused.
[[nodiscard]] Result<Module> load_module(const std::string& file, const std::string& private_folder);

}  // namespace patchbay::plugin
