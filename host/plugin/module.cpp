#include "plugin/module.hpp"

#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include <dlfcn.h>
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

Result<std::string> read_file(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream bytes;
  if (!in || !(bytes << in.rdbuf())) return fail(Errc::not_found, "cannot be read, or is empty");
  return std::move(bytes).str();
}

// Larger than its header, and begins as one.
bool is_elf(std::string_view bytes) { return bytes.size() >= 64 && bytes.starts_with("\177ELF"); }

std::string sha256_of(std::string_view bytes) {
  std::string hash(crypto_hash_sha256_BYTES, '\0');
  crypto_hash_sha256(reinterpret_cast<unsigned char*>(hash.data()),
                     reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  return to_hex(hash);
}

Result<std::string> write_private_copy(const std::string& bytes, const std::string& name, const std::string& folder) {
  static std::atomic<unsigned> number{0};
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) fs::permissions(folder, fs::perms::owner_all, error);
  const auto path = fmt::format("{}/{}.{}.{}.so", folder, name, ::getpid(), number++);
  std::ofstream out(path, std::ios::binary);
  out << bytes;
  out.close();
  if (error || !out) return fail(Errc::unavailable, "no private copy can be made in " + folder);
  return path;
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

Result<const pbay_plugin*> open_table(const std::string& copy) {
  // Kept for ever; RTLD_NODELETE makes that true also for those who forget it. Bound at once, so that a missing symbol
  // is an error here and not a crash at the first call.
  static std::vector<boost::dll::shared_library> libraries;
  const auto mode = static_cast<boost::dll::load_mode::type>(RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  try {
    boost::dll::shared_library library(copy, mode);
    if (!library.has(PBAY_ENTRY)) return fail(Errc::invalid, "it does not export " PBAY_ENTRY);
    const auto& entry = library.get<const pbay_plugin*()>(PBAY_ENTRY);
    const auto* table = entry();
    libraries.push_back(std::move(library));
    return table;
  } catch (const std::exception& error) {
    return fail(Errc::invalid, "the loader refuses it: " + without_path(error.what(), copy));
  }
}

}  // namespace

Result<Module> load_module(const std::string& file, const std::string& private_folder) {
  auto bytes = read_file(file);
  if (!bytes) return std::unexpected(bytes.error());
  if (!is_elf(*bytes)) return fail(Errc::invalid, "not an ELF file");
  auto copy = write_private_copy(*bytes, fs::path(file).stem().string(), private_folder);
  if (!copy) return std::unexpected(copy.error());
  auto table = open_table(*copy);
  std::error_code ignored;
  fs::remove(*copy, ignored);  // the mapping stays
  if (!table) return std::unexpected(table.error());
  if (auto checked = check_table(*table); !checked) return std::unexpected(checked.error());
  auto manifest = Manifest::parse({(*table)->manifest.ptr, (*table)->manifest.len});
  if (!manifest) return std::unexpected(manifest.error());
  if (auto checked = check_functions(**table, *manifest); !checked) return std::unexpected(checked.error());
  Module module;
  module.file = file;
  module.sha256 = sha256_of(*bytes);
  module.table = *table;
  module.manifest = *std::move(manifest);
  return module;
}

}  // namespace patchbay::plugin
