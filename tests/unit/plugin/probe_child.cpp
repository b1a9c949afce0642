// What the host is to the probe: `probe_child plugin probe FILE`.
#include <iostream>

#include <unistd.h>

#include "plugin/registry.hpp"

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const auto info = patchbay::plugin::Registry::check(argv[3], "/tmp/probe-child-" + std::to_string(::getpid()));
  if (info.failure.empty()) return 0;
  std::cerr << "patchbay: " << argv[3] << ": " << info.failure << '\n';
  return 1;
}
