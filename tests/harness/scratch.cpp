#include "harness/scratch.hpp"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <random>
#include <sstream>
#include <stdexcept>

namespace patchbay::harness {

ScratchFolder::ScratchFolder(const std::string& name) {
  std::filesystem::create_directories(PATCHBAY_SCRATCH_FOLDER);
  std::string pattern = std::string(PATCHBAY_SCRATCH_FOLDER) + "/" + name + "-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make " + pattern);
  path_ = pattern;
}

ScratchFolder::~ScratchFolder() {
  if (keep_) {
    std::cerr << "kept: " << path_.string() << '\n';
    return;
  }
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string binary(const std::string& name) { return std::string(PATCHBAY_BINARY_FOLDER) + "/" + name; }
std::string plugin_folder() { return PATCHBAY_PLUGIN_FOLDER; }

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::uint16_t free_port() {
  std::ifstream range("/proc/sys/net/ipv4/ip_local_port_range");
  int lowest = 32768;
  range >> lowest;
  const int first = 10'000;
  std::random_device random;
  std::uniform_int_distribution<int> any(first, std::max(lowest, first + 1000) - 1);
  for (int attempt = 0; attempt < 200; ++attempt) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(any(random)));
    const bool taken = ::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    ::close(socket);
    if (taken) return ntohs(address.sin_port);
  }
  throw std::runtime_error("no free port on loopback");
}

}  // namespace patchbay::harness
