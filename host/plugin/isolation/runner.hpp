#pragma once

namespace patchbay::plugin::isolation {

// The life of a plugin's own process: reads its settings from the socket, shuts itself in, loads the plugin and serves it
// until the host says quit or is gone. The plugin's instance is the host's own, with the same rules; what it asks for goes
// to the host. Returns the exit code.
int run_plugin_process(int socket);

}  // namespace patchbay::plugin::isolation
