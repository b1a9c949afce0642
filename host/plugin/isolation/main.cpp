// patchbay-plugin-process: the process of an isolated plugin. The host starts it, with a socket as descriptor 3.
#include <sys/socket.h>

#include <cstdio>

#include "plugin/isolation/runner.hpp"

int main() {
  constexpr int kSocket = 3;
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(kSocket, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
    std::fputs("patchbay-plugin-process is started by patchbay, for a plugin in a process of its own\n", stderr);
    return 2;
  }
  return patchbay::plugin::isolation::run_plugin_process(kSocket);
}
