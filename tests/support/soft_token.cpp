#include "support/soft_token.hpp"

#include <cstdlib>
#include <fstream>
#include <stdexcept>

namespace patchbay::support {

namespace fs = std::filesystem;

std::string SoftToken::module() { return "/usr/lib/softhsm/libsofthsm2.so"; }

bool SoftToken::is_installed() { return fs::exists(module()) && fs::exists("/usr/bin/softhsm2-util"); }

SoftToken::SoftToken(const fs::path& folder) : folder_(folder) {
  fs::create_directories(folder_ / "tokens");
  std::ofstream(folder_ / "softhsm2.conf") << "directories.tokendir = " << (folder_ / "tokens").string()
                                           << "\nobjectstore.backend = file\nlog.level = ERROR\n";
  std::ofstream(pin_file()) << "5678\n";
  ::setenv("SOFTHSM2_CONF", (folder_ / "softhsm2.conf").c_str(), 1);
  if (std::system("softhsm2-util --init-token --free --label patchbay --so-pin 12345678 --pin 5678 > /dev/null 2>&1") != 0) {
    throw std::runtime_error("softhsm2-util cannot make a token");
  }
}

SoftToken::~SoftToken() { ::unsetenv("SOFTHSM2_CONF"); }

void SoftToken::pull() { fs::rename(folder_ / "tokens", folder_ / "elsewhere"); }
void SoftToken::plug_in() { fs::rename(folder_ / "elsewhere", folder_ / "tokens"); }

}  // namespace patchbay::support
