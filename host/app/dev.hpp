#pragma once

#include <string>
#include <vector>

#include "app/commands.hpp"

namespace patchbay::app {

struct DevOptions {
  std::vector<std::string> plugins;  // files that somebody builds: loaded, and again whenever they change
  std::string flow;                  // JSON file: imported and activated
};

// `patchbay dev`: a host with everything that it needs in a temporary folder: a database, a user, an API key, simulated
// providers (patchbay-sim beside this program) and an account at each of them; what happens is printed in lines for
// people. Providers without a simulator of their own talk to a service that takes everything. Until SIGINT or SIGTERM.
Result<> develop(const Context& context, const DevOptions& options);

}  // namespace patchbay::app
