#include "vault/keys/key_file.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace patchbay::vault {
namespace {

constexpr off_t kLongest = 64 << 10;

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int descriptor() const { return descriptor_; }
  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }

 private:
  int descriptor_;
};

FileVersion version_of(const struct stat& info) {
  return {info.st_ino, info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec, info.st_size};
}

Result<> check(const KeyFile& file, const struct stat& info) {
  if (!S_ISREG(info.st_mode) || info.st_size > kLongest) return fail(Errc::invalid, file.path + " is no key file");
  // A given one may stand under an access list, whose mask looks like rights of the group.
  if (file.access == KeyFile::Access::own && (info.st_mode & 077) != 0) {
    return fail(Errc::invalid, fmt::format("{} can be read by others: `chmod 600 {}`", file.path, file.path));
  }
  return {};
}

// A name in a folder is on the disk only when the folder is.
bool sync_folder_of(const std::string& name) {
  const auto slash = name.rfind('/');
  const auto folder = slash == std::string::npos ? std::string(".") : name.substr(0, slash + 1);
  const File file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return file.is_open() && ::fsync(file.descriptor()) == 0;
}

bool write_all(const File& file, std::string_view text) {
  return ::write(file.descriptor(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
         ::fsync(file.descriptor()) == 0;
}

// Held until it goes: the file itself cannot be locked, for it is replaced.
Result<> lock_beside(const KeyFile& file, const File& lock) {
  if (lock.is_open() && ::flock(lock.descriptor(), LOCK_EX) == 0) return {};
  return fail(Errc::unavailable, fmt::format("cannot lock {}.lock: {}", file.path, std::strerror(errno)));
}

Result<> replace(const KeyFile& file, const Secret& text) {
  const auto partial = file.path + ".part";
  ::unlink(partial.c_str());
  {
    const File written(::open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!written.is_open() || !write_all(written, text.reveal())) {
      return fail(Errc::unavailable, fmt::format("cannot write {}: {}", partial, std::strerror(errno)));
    }
  }
  if (::rename(partial.c_str(), file.path.c_str()) == 0 && sync_folder_of(file.path)) return {};
  return fail(Errc::unavailable, fmt::format("cannot write {}: {}", file.path, std::strerror(errno)));
}

}  // namespace

FileVersion version_of(const KeyFile& file) {
  struct stat info {};
  return ::stat(file.path.c_str(), &info) == 0 ? version_of(info) : FileVersion{};
}

// What is checked is what is read: one descriptor.
Result<KeyText> read_key_file(const KeyFile& file) {
  const File opened(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // a pipe must not hold up the start
  if (!opened.is_open() && errno == ENOENT) {
    return fail(Errc::not_found,
                fmt::format("there is no key file {}: `patchbay keys init` makes one; set vault.key_file or "
                            "PATCHBAY_KEY_FILE if it stands elsewhere",
                            file.path));
  }
  struct stat info {};
  if (!opened.is_open() || ::fstat(opened.descriptor(), &info) != 0) {
    return fail(Errc::not_found, fmt::format("cannot read the key file {}: {}", file.path, std::strerror(errno)));
  }
  if (auto checked = check(file, info); !checked) return std::unexpected(checked.error());
  bool whole = false;
  auto text = Secret::filled(static_cast<std::size_t>(info.st_size), [&](char* into) {
    whole = ::read(opened.descriptor(), into, static_cast<std::size_t>(info.st_size)) == info.st_size;
  });
  if (!whole) return fail(Errc::not_found, "cannot read the key file " + file.path);
  return KeyText{std::move(text), version_of(info)};
}

Result<> create_key_file(const KeyFile& file, const Secret& text) {
  const File made(::open(file.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!made.is_open() && errno == EEXIST) {
    return fail(Errc::conflict,
                file.path + " exists: a key is never replaced, for what it sealed could not be read any more");
  }
  if (!made.is_open()) return fail(Errc::unavailable, fmt::format("cannot make {}: {}", file.path, std::strerror(errno)));
  if (write_all(made, text.reveal()) && sync_folder_of(file.path)) return {};
  ::unlink(file.path.c_str());
  return fail(Errc::unavailable, "cannot write " + file.path);
}

Result<> change_key_file(const KeyFile& file, const std::function<Result<Secret>(std::string_view)>& change) {
  if (file.access == KeyFile::Access::given) {
    return fail(Errc::conflict, file.path + " is a credential that the service manager keeps: change it there");
  }
  const File lock(::open((file.path + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (auto locked = lock_beside(file, lock); !locked) return locked;
  const auto present = read_key_file(file);
  if (!present) return std::unexpected(present.error());
  const auto wanted = change(present->text.reveal());
  if (!wanted) return std::unexpected(wanted.error());
  return replace(file, *wanted);
}

}  // namespace patchbay::vault
