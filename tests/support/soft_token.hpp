#pragma once

#include <filesystem>
#include <string>

namespace patchbay::support {

// A token of SoftHSM (Debian: softhsm2) in a folder of its own, with the label "patchbay" and the PIN 5678. It is the one
// that the module finds for as long as this lives: one at a time a process.
class SoftToken {
 public:
  [[nodiscard]] static bool is_installed();

  // Throws when the token cannot be made.
  explicit SoftToken(const std::filesystem::path& folder);
  ~SoftToken();
  SoftToken(const SoftToken&) = delete;
  SoftToken& operator=(const SoftToken&) = delete;

  [[nodiscard]] static std::string module();
  [[nodiscard]] std::string pin_file() const { return folder_ / "pin"; }
  void pull();      // as if the device were unplugged
  void plug_in();

 private:
  std::filesystem::path folder_;
};

}  // namespace patchbay::support
