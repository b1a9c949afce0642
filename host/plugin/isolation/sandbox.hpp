#pragma once

#include <string>
#include <vector>

#include "core/error.hpp"

namespace patchbay::plugin::isolation {

struct SandboxLimits {
  std::size_t memory_bytes = 512 << 20;  // of address space; 0: none. Sanitized builds have none
};

// What a plugin's process may do, in two steps, because loading its code opens files. Each step is for ever.
//
// Before the code is loaded: no core dumps, few descriptors, the memory limit, no privileges by exec; Landlock: of the
// file system only the system's libraries and `readable` may be read, nothing written; seccomp: no sockets, processes,
// threads, signals to others. Returns what this kernel does not have, for the log.
[[nodiscard]] Result<std::vector<std::string>> restrict_before_loading(const SandboxLimits& limits, const std::string& readable);

// After: memory, time, waiting, and what is open already; no file is opened, no code mapped. A call that is not allowed
// raises SIGSYS, for which a handler stands: it writes a `denied` frame with the call's name to `report` and ends.
[[nodiscard]] Result<> restrict_after_loading(int report);

}  // namespace patchbay::plugin::isolation
