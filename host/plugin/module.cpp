#include "plugin/module.hpp"

#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <vector>

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <sodium.h>
#include <boost/dll/shared_library.hpp>

#include "core/bytes.hpp"

namespace patchbay::plugin {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestManifest = 256 << 10;
constexpr std::int64_t kLargestFile = 256 << 20;

struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

// Who may write a file that is loaded, or its folder, may do all that the host may.
Result<> check_mode(const struct stat& status, std::string_view what) {
  if ((status.st_mode & S_IWOTH) == 0 || (status.st_mode & S_ISVTX) != 0) return {};
  return fail(Errc::denied, fmt::format("everybody may write {}: take that away (chmod o-w)", what));
}

// What was opened is what is looked at, so nobody can exchange it in between. No waiting: the name may be a pipe's.
Result<std::string> read_file(const std::string& file) {
  const Descriptor opened{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (opened.number < 0) return fail(Errc::not_found, fmt::format("cannot be read: {}", std::strerror(errno)));
  struct stat status {};
  struct stat above {};
  const auto folder = fs::path(file).parent_path();
  if (::fstat(opened.number, &status) != 0 || !S_ISREG(status.st_mode)) return fail(Errc::invalid, "not a file");
  if (::stat(folder.empty() ? "." : folder.c_str(), &above) == 0) {
    if (auto checked = check_mode(above, "its folder"); !checked) return std::unexpected(checked.error());
  }
  if (auto checked = check_mode(status, "it"); !checked) return std::unexpected(checked.error());
  std::error_code error;
  const auto real = fs::read_symlink(fmt::format("/proc/self/fd/{}", opened.number), error);
  if (!error && real.parent_path() != fs::canonical(folder.empty() ? "." : folder, error)) {
    return fail(Errc::denied, fmt::format("a link to {}, outside its folder: put the file itself here", real.string()));
  }
  if (status.st_size > kLargestFile) return fail(Errc::exhausted, "larger than 256 MiB");
  std::string bytes;
  bytes.resize(static_cast<std::size_t>(status.st_size));
  std::size_t got = 0;
  while (got < bytes.size()) {
    const auto count = ::read(opened.number, bytes.data() + got, bytes.size() - got);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;  // it became shorter meanwhile
    got += static_cast<std::size_t>(count);
  }
  bytes.resize(got);
  return bytes;
}

// A 64-bit object, all of it: linkers write the table of sections last, so a file that is still being written lacks it.
// The loader itself would not notice, as long as the segments are there.
Result<> check_elf(std::string_view bytes) {
  Elf64_Ehdr head{};
  if (bytes.size() < sizeof head || !bytes.starts_with(ELFMAG)) return fail(Errc::invalid, "not an ELF file");
  std::memcpy(&head, bytes.data(), sizeof head);
  if (head.e_ident[EI_CLASS] != ELFCLASS64) return fail(Errc::invalid, "not an ELF file of 64 bits");
  const auto end = [](std::uint64_t at, std::uint64_t count, std::uint64_t size) { return at + count * size; };
  if (head.e_shoff > bytes.size() || end(head.e_shoff, head.e_shnum, head.e_shentsize) > bytes.size() ||
      head.e_phoff > bytes.size() || end(head.e_phoff, head.e_phnum, head.e_phentsize) > bytes.size()) {
    return fail(Errc::invalid, fmt::format("cut short: it has {} bytes, and its tables lie behind them", bytes.size()));
  }
  return {};
}

std::string sha256_of(std::string_view bytes) {
  std::string hash(crypto_hash_sha256_BYTES, '\0');
  crypto_hash_sha256(reinterpret_cast<unsigned char*>(hash.data()),
                     reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  return to_hex(hash);
}

// Never given twice, and by no other process.
std::string unused_name(const std::string& file) {
  static std::atomic<unsigned> number{0};
  return fmt::format("{}.{}.{}.so", fs::path(file).stem().string(), ::getpid(), number++);
}

std::string version_text(std::uint32_t abi) { return fmt::format("{}.{}", abi >> 16, abi & 0xffff); }

// What host and probe both insist on.
Result<> check_table(const pbay_plugin* table) {
  if (table == nullptr) return fail(Errc::invalid, PBAY_ENTRY "() returned nothing");
  if (table->size < offsetof(pbay_plugin, extension) + sizeof table->extension) {
    return fail(Errc::invalid, fmt::format("its table has {} bytes, less than that of ABI 1.0", table->size));
  }
  if (table->abi >> 16 != PBAY_ABI >> 16) {
    return fail(Errc::invalid, fmt::format("it was built for ABI {}, this host has {}", version_text(table->abi),
                                           version_text(PBAY_ABI)));
  }
  if (table->needs > PBAY_ABI) {
    return fail(Errc::invalid,
                fmt::format("it needs ABI {}, this host has {}", version_text(table->needs), version_text(PBAY_ABI)));
  }
  if (table->flags != 0) return fail(Errc::invalid, "it sets flags that this host does not know");
  if (table->create == nullptr || table->destroy == nullptr || table->resume == nullptr) {
    return fail(Errc::invalid, "create, destroy or resume is missing");
  }
  if (table->manifest.ptr == nullptr || table->manifest.len > kLargestManifest) {
    return fail(Errc::invalid, "it has no manifest, or one over 256 KiB");
  }
  return {};
}

Result<> check_functions(const pbay_plugin& table, const Manifest& manifest) {
  for (const auto& trigger : manifest.triggers) {
    const bool webhook = trigger.mode == TriggerMode::webhook;
    if (webhook && (table.watch == nullptr || table.stop == nullptr || table.webhook == nullptr)) {
      return fail(Errc::invalid, fmt::format("trigger '{}' needs watch, stop and webhook", trigger.id));
    }
    if (trigger.mode == TriggerMode::poll && table.poll == nullptr) {
      return fail(Errc::invalid, fmt::format("trigger '{}' needs poll", trigger.id));
    }
    if (trigger.mode == TriggerMode::socket && table.socket == nullptr) {
      return fail(Errc::invalid, fmt::format("trigger '{}' needs socket", trigger.id));
    }
  }
  if (!manifest.reactions.empty() && table.reaction == nullptr)
    return fail(Errc::invalid, "its reactions need reaction");
  return {};
}

// The loader's text begins with the path of the copy, which says nothing to anybody.
std::string without_path(std::string text, const std::string& path) {
  for (auto at = text.find(path); at != std::string::npos; at = text.find(path)) text.erase(at, path.size());
  while (!text.empty() && (text.front() == ':' || text.front() == ' ')) text.erase(0, 1);
  return text;
}

struct Opened {
  std::shared_ptr<const void> mapping;
  const pbay_plugin* table;
};

// Keeps a mapping for as long as the process lives; RTLD_NODELETE makes that true also for those who forget it.
void keep_for_ever(std::shared_ptr<const void> mapping) {
  static std::mutex mutex;
  static std::vector<std::shared_ptr<const void>> kept;  // guarded by mutex
  const std::lock_guard lock(mutex);
  kept.push_back(std::move(mapping));
}

Result<Opened> open_table(const std::string& path, Mapping mapping) {
  // Bound at once, so that a missing symbol is an error here and not a crash at the first call.
  const int flags = RTLD_NOW | RTLD_LOCAL | (mapping == Mapping::kept ? RTLD_NODELETE : 0);
  try {
    auto library = std::make_shared<boost::dll::shared_library>(path, static_cast<boost::dll::load_mode::type>(flags));
    if (!library->has(PBAY_ENTRY)) return fail(Errc::invalid, "it does not export " PBAY_ENTRY);
    const auto& entry = library->get<const pbay_plugin*()>(PBAY_ENTRY);
    const auto* table = entry();
    if (mapping == Mapping::kept) keep_for_ever(library);
    return Opened{std::move(library), table};
  } catch (const std::exception& error) {
    return fail(Errc::invalid, "the loader refuses it: " + without_path(error.what(), path));
  }
}

// A struct at an offset, when all of it is there.
template <class T>
bool read_at(const std::string& bytes, std::uint64_t offset, T& value) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof value) return false;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return true;
}

// The content of an ELF section, or empty.
std::string_view section_of(const std::string& bytes, std::string_view wanted) {
  Elf64_Ehdr header{};
  Elf64_Shdr names{};
  if (!read_at(bytes, 0, header)) return {};
  if (!read_at(bytes, header.e_shoff + std::uint64_t{header.e_shstrndx} * sizeof names, names)) return {};
  for (unsigned i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr section{};
    if (!read_at(bytes, header.e_shoff + std::uint64_t{i} * sizeof section, section)) return {};
    const auto name = names.sh_offset + section.sh_name;
    if (name >= bytes.size() || std::string_view(bytes).substr(name, wanted.size() + 1) != std::string(wanted) + '\0') continue;
    if (section.sh_offset > bytes.size() || bytes.size() - section.sh_offset < section.sh_size) return {};
    return std::string_view(bytes).substr(section.sh_offset, section.sh_size);
  }
  return {};
}

}  // namespace

bool is_plugin_name(std::string_view name) { return name.ends_with(".so") && !name.starts_with('.'); }

Result<PrivateCopy> PrivateCopy::make(const std::string& file, const std::string& folder, const Trust& trust) {
  auto bytes = read_file(file);
  if (!bytes) return std::unexpected(bytes.error());
  if (auto checked = check_elf(*bytes); !checked) return std::unexpected(checked.error());
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) fs::permissions(folder, fs::perms::owner_all, error);
  auto sha256 = sha256_of(*bytes);
  if (auto trusted = check_trust(trust, file, *bytes, sha256); !trusted) return std::unexpected(trusted.error());
  PrivateCopy copy(file, fmt::format("{}/{}", folder, unused_name(file)), std::move(sha256));
  std::ofstream out(copy.path_, std::ios::binary);
  out << *bytes;
  out.close();
  if (error || !out) return fail(Errc::unavailable, "no private copy can be made in " + folder);
  return copy;
}

PrivateCopy::~PrivateCopy() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove(path_, ignored);
}

Result<Module> load_module(const PrivateCopy& copy, Mapping mapping) {
  auto module = load_module(copy.path(), mapping);
  if (!module) return module;
  module->file = copy.file();
  module->sha256 = copy.sha256();
  return module;
}

Result<Module> load_module(const std::string& path, Mapping mapping) {
  auto opened = open_table(path, mapping);
  if (!opened) return std::unexpected(opened.error());
  if (auto checked = check_table(opened->table); !checked) return std::unexpected(checked.error());
  const auto& text = opened->table->manifest;
  auto manifest = Manifest::parse({text.ptr, text.len});
  if (!manifest) return std::unexpected(manifest.error());
  if (auto checked = check_functions(*opened->table, *manifest); !checked) return std::unexpected(checked.error());
  return Module{.file = path,
                .sha256 = {},
                .mapping = std::move(opened->mapping),
                .table = opened->table,
                .manifest = std::make_shared<const Manifest>(*std::move(manifest))};
}

Result<Manifest> read_manifest(const std::string& path) {
  const auto bytes = read_file(path);
  if (!bytes) return std::unexpected(bytes.error());
  auto text = section_of(*bytes, PBAY_MANIFEST);
  while (text.ends_with('\0')) text.remove_suffix(1);
  if (text.empty() || text.size() > kLargestManifest) {
    return fail(Errc::invalid, "it has no manifest in the section " PBAY_MANIFEST ", or one over 256 KiB");
  }
  return Manifest::parse(text);
}

}  // namespace patchbay::plugin
