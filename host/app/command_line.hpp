#pragma once

namespace patchbay::app {

// The command `patchbay`: parses the arguments, does what they say. Returns the exit code: 0 done, 1 failed, 2 wrong
// usage.
int run(int argc, char** argv);

}  // namespace patchbay::app
