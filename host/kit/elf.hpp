#pragma once

#include <string>
#include <vector>

#include "core/error.hpp"

namespace patchbay::kit {

// What a shared object asks of others and offers to them, from its dynamic symbol table; nothing of it is run.
struct ElfSymbols {
  std::vector<std::string> imports;  // undefined, without version
  std::vector<std::string> exports;
};

// Errc::invalid: no 64-bit ELF object of this machine's byte order.
[[nodiscard]] Result<ElfSymbols> read_symbols(const std::string& file);

// Whether a plugin may import this: memory, strings, numbers and the C++ runtime, but no file, socket, process, thread,
// clock or signal. The names of sanitizers' runtimes are let through.
[[nodiscard]] bool may_import(std::string_view symbol);

}  // namespace patchbay::kit
