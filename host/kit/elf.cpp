#include "kit/elf.hpp"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <sstream>

namespace patchbay::kit {
namespace {

// A struct at an offset, when all of it is there.
template <class T>
bool read_at(const std::string& bytes, std::uint64_t offset, T& value) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof value) return false;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return true;
}

std::string text_at(const std::string& bytes, std::uint64_t offset) {
  if (offset >= bytes.size()) return {};
  const auto end = bytes.find('\0', offset);
  return end == std::string::npos ? std::string() : bytes.substr(offset, end - offset);
}

constexpr std::array kAllowed = std::to_array<std::string_view>({
    "abs", "aligned_alloc", "atof", "atoi", "atol", "atoll", "bcmp", "bsearch", "calloc", "div", "explicit_bzero",
    "fmod", "free", "gmtime_r", "iconv", "isalnum", "isalpha", "iscntrl", "isdigit", "isgraph", "islower", "isprint",
    "ispunct", "isspace", "isupper", "isxdigit", "labs", "ldiv", "llabs", "lldiv", "malloc", "mktime", "posix_memalign",
    "qsort", "realloc", "reallocarray", "snprintf", "sprintf", "sscanf", "strtod", "strtof", "strtol", "strtold", "strtoll",
    "strtoul", "strtoull", "timegm", "tolower", "toupper", "vsnprintf", "vsprintf", "vsscanf", "stpcpy", "stpncpy",
    // libm
    "acos", "asin", "atan", "atan2", "cbrt", "ceil", "cos", "cosh", "exp", "exp2", "expm1", "fabs", "fdim", "floor", "fma",
    "fmax", "fmin", "frexp", "hypot", "ldexp", "llrint", "llround", "log", "log10", "log1p", "log2", "lrint", "lround",
    "modf", "nan", "nearbyint", "nextafter", "pow", "remainder", "rint", "round", "scalbn", "sin", "sinh", "sqrt", "tan",
    "tanh", "trunc",
    // the compiler's and the loader's own
    "__ctype_b_loc", "__ctype_tolower_loc", "__ctype_toupper_loc", "__dynamic_cast", "__errno_location", "__gmon_start__",
    "__gxx_personality_v0", "__stack_chk_fail", "__tls_get_addr", "rust_eh_personality",
});
constexpr std::array kAllowedPrefixes = std::to_array<std::string_view>({
    "mem", "str", "wcs", "wmem", "__mem", "__str", "__isoc99_s", "__isoc23_s", "__snprintf_chk", "__vsnprintf_chk",
    "__sprintf_chk", "__cxa_", "_Unwind_", "_ITM_", "_Z", "__asan_", "__ubsan_", "__tsan_", "__lsan_", "__sanitizer_",
    "__gcov_"});
// Of the C++ library: what reaches outside.
constexpr std::array kRefusedParts = std::to_array<std::string_view>({
    "basic_filebuf", "basic_ifstream", "basic_ofstream", "basic_fstream", "__basic_file", "St6thread", "this_thread",
    "10filesystem", "random_device", "condition_variable", "_ZSt3cin", "_ZSt4cout", "_ZSt4cerr", "_ZSt4clog", "12system_clock",
    "12steady_clock"});

}  // namespace

Result<ElfSymbols> read_symbols(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  const auto bytes = std::move(text).str();
  Elf64_Ehdr header{};
  if (!read_at(bytes, 0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_ident[EI_CLASS] != ELFCLASS64) {
    return fail(Errc::invalid, "it is no 64-bit ELF object");
  }
  ElfSymbols found;
  for (unsigned i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr section{};
    Elf64_Shdr names{};
    if (!read_at(bytes, header.e_shoff + std::uint64_t{i} * sizeof section, section)) break;
    if (section.sh_type != SHT_DYNSYM) continue;
    if (!read_at(bytes, header.e_shoff + std::uint64_t{section.sh_link} * sizeof names, names)) continue;
    for (std::uint64_t at = sizeof(Elf64_Sym); at + sizeof(Elf64_Sym) <= section.sh_size; at += sizeof(Elf64_Sym)) {
      Elf64_Sym symbol{};
      if (!read_at(bytes, section.sh_offset + at, symbol)) break;
      auto name = text_at(bytes, names.sh_offset + symbol.st_name);
      if (name.empty()) continue;
      (symbol.st_shndx == SHN_UNDEF ? found.imports : found.exports).push_back(std::move(name));
    }
  }
  return found;
}

bool may_import(std::string_view symbol) {
  if (std::find(kAllowed.begin(), kAllowed.end(), symbol) != kAllowed.end()) return true;
  const bool refused = std::any_of(kRefusedParts.begin(), kRefusedParts.end(),
                                   [symbol](auto part) { return symbol.find(part) != std::string_view::npos; });
  if (refused) return false;
  return std::any_of(kAllowedPrefixes.begin(), kAllowedPrefixes.end(), [symbol](auto prefix) { return symbol.starts_with(prefix); });
}

}  // namespace patchbay::kit
