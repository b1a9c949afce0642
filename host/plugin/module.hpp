#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <patchbay/plugin.h>

#include "core/error.hpp"
#include "plugin/manifest.hpp"
#include "plugin/trust.hpp"

namespace patchbay::plugin {

// The bytes of a plugin file under a name that was never used: a rebuild in place cannot touch what is mapped, the
// loader cannot answer with an object that it has already, and what was tried is what is loaded. Removed with the
// object: a mapping stays. Any thread.
class PrivateCopy {
 public:
  // folder is made with mode 0700. Error: one line that says why the file is refused: it is none, lies elsewhere than it
  // seems to, may be written by everybody, is not trusted, or is no whole ELF object.
  [[nodiscard]] static Result<PrivateCopy> make(const std::string& file, const std::string& folder, const Trust& trust);
  ~PrivateCopy();
  PrivateCopy(PrivateCopy&& other) noexcept
      : file_(std::move(other.file_)), path_(std::exchange(other.path_, {})), sha256_(std::move(other.sha256_)) {}
  PrivateCopy& operator=(PrivateCopy&&) = delete;

  [[nodiscard]] const std::string& file() const { return file_; }  // where it came from
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::string& sha256() const { return sha256_; }

 private:
  PrivateCopy(std::string file, std::string path, std::string sha256)
      : file_(std::move(file)), path_(std::move(path)), sha256_(std::move(sha256)) {}

  std::string file_;
  std::string path_;  // empty: moved from
  std::string sha256_;
};

// Whether a file of the plugin folder is one to load: *.so, and not hidden.
[[nodiscard]] bool is_plugin_name(std::string_view name);

// What happens to the code of a plugin that is no longer needed. Nobody has made unloading safe
// (docs/decisions/0006-plugins-stay-mapped.md); tests do it, to keep plugins honest.
enum class Mapping { kept, unloaded };

namespace isolation {
struct StartedProcess;
}

// A shared object that was loaded and whose table and manifest were checked. One that has a process of its own is loaded
// there and not here: it has no table, but a process and the copy to start others from.
struct Module {
  std::string file;    // where it came from
  std::string sha256;  // of the bytes that are mapped
  std::shared_ptr<const void> mapping;  // what follows is valid for as long as this is held
  const pbay_plugin* table = nullptr;
  std::shared_ptr<const Manifest> manifest;
  std::shared_ptr<const PrivateCopy> copy = nullptr;
  std::shared_ptr<isolation::StartedProcess> process = nullptr;
};

// Any thread. Error: one line that says why the file is refused.
[[nodiscard]] Result<Module> load_module(const PrivateCopy& copy, Mapping mapping);
// The same for a file that is known to be a copy.
[[nodiscard]] Result<Module> load_module(const std::string& path, Mapping mapping);
// The manifest in a file's section PBAY_MANIFEST, without running a line of it.
[[nodiscard]] Result<Manifest> read_manifest(const std::string& path);

}  // namespace patchbay::plugin
