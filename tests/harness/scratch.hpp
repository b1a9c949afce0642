#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace patchbay::harness {

// A folder of its own on the disk of the build tree (fsync costs what it costs there), removed with this.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::string& name);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  void keep() { keep_ = true; }  // for a look at what went wrong

 private:
  std::filesystem::path path_;
  bool keep_ = false;
};

[[nodiscard]] std::string binary(const std::string& name);  // "patchbay": its path in this build tree
[[nodiscard]] std::string plugin_folder();                  // of this build tree

void write_file(const std::filesystem::path& path, const std::string& text);
[[nodiscard]] std::string read_file(const std::filesystem::path& path);  // empty when it cannot be read

// A loopback port that nobody listens on, below the range that the kernel takes for outgoing connections: a client
// that keeps trying to reach a port of that range while the server is down ends up connected to itself.
[[nodiscard]] std::uint16_t free_port();

}  // namespace patchbay::harness
