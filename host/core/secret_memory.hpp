#pragma once

#include <cstddef>

namespace patchbay {

// Memory for secrets: left out of core dumps (MADV_DONTDUMP), and out of swap for as long as RLIMIT_MEMLOCK allows it.
// Small ones share pages, so that 100,000 tokens of 40 bytes take 6.4 MB and not a page each. Any thread.

// Never nullptr. The bytes are whatever; std::bad_alloc when there is no memory, as new does.
[[nodiscard]] char* allocate_secret(std::size_t bytes);
// Overwrites them first. bytes: as many as were asked for.
void free_secret(char* memory, std::size_t bytes) noexcept;

}  // namespace patchbay
