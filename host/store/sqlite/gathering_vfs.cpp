#include "store/sqlite/gathering_vfs.hpp"

#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>

#include <sqlite3.h>

namespace patchbay::store::sqlite {
namespace {

constexpr const char* kName = "patchbay";
// SQLite's unix VFS writes at most 128 KiB less one byte a call.
constexpr std::int64_t kGatheredBytes = 64 << 10;

// Lies in memory that SQLite allocates; the base VFS's own file lies behind it. One connection's, so one thread's.
struct GatheringFile {
  sqlite3_file head;  // first: SQLite sees this
  sqlite3_file* base;
  GatheringFile* log;       // of a database file: its log, while that is open
  GatheringFile* database;  // of a log
  char* gathered;           // kGatheredBytes, from the first write on
  std::int64_t start;
  std::int64_t size;
};

GatheringFile& self(sqlite3_file* file) { return *reinterpret_cast<GatheringFile*>(file); }
const sqlite3_io_methods& base_of(sqlite3_file* file) { return *self(file).base->pMethods; }

// The base takes ENOSPC alone for a full disk, and only where it writes; a quota, a limit or a late allocation is one
// too.
int named(int code) {
  const bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
  return (code & 0xff) == SQLITE_IOERR && full ? SQLITE_FULL : code;
}

int base_write(GatheringFile& file, const void* from, int size, std::int64_t offset) {
  errno = 0;
  return named(file.base->pMethods->xWrite(file.base, from, size, offset));
}

int flush(GatheringFile& file) {
  if (file.size == 0) return SQLITE_OK;
  return base_write(file, file.gathered, static_cast<int>(std::exchange(file.size, 0)), file.start);
}

int close(sqlite3_file* handle) {
  auto& file = self(handle);
  if (file.database != nullptr) file.database->log = nullptr;
  const int flushed = flush(file);
  delete[] file.gathered;
  const int closed = file.base->pMethods->xClose(file.base);
  return flushed != SQLITE_OK ? flushed : closed;
}

int read(sqlite3_file* file, void* to, int size, sqlite3_int64 offset) {
  const auto& gathered = self(file);
  const bool overlaps = offset < gathered.start + gathered.size && gathered.start < offset + size;
  if (overlaps) {
    if (const int code = flush(self(file)); code != SQLITE_OK) return code;
  }
  return base_of(file).xRead(self(file).base, to, size, offset);
}

int write(sqlite3_file* handle, const void* from, int size, sqlite3_int64 offset) {
  auto& file = self(handle);
  const bool follows = file.size > 0 && offset == file.start + file.size && file.size + size <= kGatheredBytes;
  if (!follows) {
    if (const int code = flush(file); code != SQLITE_OK) return code;
    if (size > kGatheredBytes) return base_write(file, from, size, offset);
    if (file.gathered == nullptr) file.gathered = new (std::nothrow) char[kGatheredBytes];
    if (file.gathered == nullptr) return SQLITE_IOERR_NOMEM;
    file.start = offset;
  }
  std::memcpy(file.gathered + file.size, from, static_cast<std::size_t>(size));
  file.size += size;
  return SQLITE_OK;
}

int truncate(sqlite3_file* file, sqlite3_int64 size) {
  if (const int code = flush(self(file)); code != SQLITE_OK) return code;
  return base_of(file).xTruncate(self(file).base, size);
}

int sync(sqlite3_file* file, int flags) {
  if (const int code = flush(self(file)); code != SQLITE_OK) return code;
  errno = 0;
  return named(base_of(file).xSync(self(file).base, flags));
}

int file_size(sqlite3_file* file, sqlite3_int64* size) {
  if (const int code = flush(self(file)); code != SQLITE_OK) return code;
  return base_of(file).xFileSize(self(file).base, size);
}

int lock(sqlite3_file* file, int level) { return base_of(file).xLock(self(file).base, level); }

int unlock(sqlite3_file* file, int level) {
  const int flushed = flush(self(file));
  const int unlocked = base_of(file).xUnlock(self(file).base, level);
  return flushed != SQLITE_OK ? flushed : unlocked;
}

int check_reserved_lock(sqlite3_file* file, int* held) {
  return base_of(file).xCheckReservedLock(self(file).base, held);
}

// No flush: SQLite passes hints by it and does not look at the answer, so an error would be lost.
int file_control(sqlite3_file* file, int operation, void* argument) {
  return base_of(file).xFileControl(self(file).base, operation, argument);
}

int sector_size(sqlite3_file* file) { return base_of(file).xSectorSize(self(file).base); }
int device_characteristics(sqlite3_file* file) { return base_of(file).xDeviceCharacteristics(self(file).base); }

int shm_map(sqlite3_file* file, int page, int size, int extend, void volatile** at) {
  return base_of(file).xShmMap(self(file).base, page, size, extend, at);
}
int shm_lock(sqlite3_file* file, int offset, int count, int flags) {
  int flushed = SQLITE_OK;
  if ((flags & SQLITE_SHM_UNLOCK) != 0 && (flags & SQLITE_SHM_EXCLUSIVE) != 0) {
    // A transaction that was given up may have left pages of the log here. Behind this lock another process writes its
    // own to the same place.
    if (self(file).log != nullptr) flushed = flush(*self(file).log);
    if (const int code = flush(self(file)); code != SQLITE_OK) flushed = code;
  }
  const int done = base_of(file).xShmLock(self(file).base, offset, count, flags);
  return flushed != SQLITE_OK ? flushed : done;
}
void shm_barrier(sqlite3_file* file) { base_of(file).xShmBarrier(self(file).base); }
int shm_unmap(sqlite3_file* file, int remove) { return base_of(file).xShmUnmap(self(file).base, remove); }

// Version 2: with shared memory for the log, without memory-mapped reads, which would not see what is gathered.
constexpr sqlite3_io_methods kMethods{.iVersion = 2,
                                      .xClose = close,
                                      .xRead = read,
                                      .xWrite = write,
                                      .xTruncate = truncate,
                                      .xSync = sync,
                                      .xFileSize = file_size,
                                      .xLock = lock,
                                      .xUnlock = unlock,
                                      .xCheckReservedLock = check_reserved_lock,
                                      .xFileControl = file_control,
                                      .xSectorSize = sector_size,
                                      .xDeviceCharacteristics = device_characteristics,
                                      .xShmMap = shm_map,
                                      .xShmLock = shm_lock,
                                      .xShmBarrier = shm_barrier,
                                      .xShmUnmap = shm_unmap,
                                      .xFetch = nullptr,
                                      .xUnfetch = nullptr};

sqlite3_vfs* base_vfs(sqlite3_vfs* vfs) { return static_cast<sqlite3_vfs*>(vfs->pAppData); }

int open(sqlite3_vfs* vfs, sqlite3_filename name, sqlite3_file* handle, int flags, int* granted) {
  auto* base = base_vfs(vfs);
  const bool is_log = (flags & SQLITE_OPEN_WAL) != 0;
  // Journals and temporary files are the base's alone.
  if (!is_log && (flags & SQLITE_OPEN_MAIN_DB) == 0) return base->xOpen(base, name, handle, flags, granted);
  auto& file = *new (handle) GatheringFile{};
  file.base = reinterpret_cast<sqlite3_file*>(&file + 1);
  const int code = base->xOpen(base, name, file.base, flags, granted);
  if (file.base->pMethods == nullptr) return code;
  file.head.pMethods = &kMethods;  // SQLite calls xClose, also after an error, when there are methods
  if (is_log) {
    file.database = &self(sqlite3_database_file_object(name));
    file.database->log = &file;
  }
  return code;
}

// The others are the base's, called with the base, because they find their own settings in it.
int remove(sqlite3_vfs* vfs, const char* name, int sync_folder) {
  return base_vfs(vfs)->xDelete(base_vfs(vfs), name, sync_folder);
}
int access(sqlite3_vfs* vfs, const char* name, int flags, int* result) {
  return base_vfs(vfs)->xAccess(base_vfs(vfs), name, flags, result);
}
int full_pathname(sqlite3_vfs* vfs, const char* name, int size, char* to) {
  return base_vfs(vfs)->xFullPathname(base_vfs(vfs), name, size, to);
}
int randomness(sqlite3_vfs* vfs, int size, char* to) { return base_vfs(vfs)->xRandomness(base_vfs(vfs), size, to); }
int sleep(sqlite3_vfs* vfs, int microseconds) { return base_vfs(vfs)->xSleep(base_vfs(vfs), microseconds); }
int current_time(sqlite3_vfs* vfs, double* days) { return base_vfs(vfs)->xCurrentTime(base_vfs(vfs), days); }
int last_error(sqlite3_vfs* vfs, int size, char* to) { return base_vfs(vfs)->xGetLastError(base_vfs(vfs), size, to); }
int current_time_64(sqlite3_vfs* vfs, sqlite3_int64* milliseconds) {
  return base_vfs(vfs)->xCurrentTimeInt64(base_vfs(vfs), milliseconds);
}

int register_vfs() {
  auto* base = sqlite3_vfs_find(nullptr);
  if (base == nullptr || base->iVersion < 2) return SQLITE_ERROR;
  static sqlite3_vfs vfs{};
  vfs.iVersion = 2;
  vfs.szOsFile = static_cast<int>(sizeof(GatheringFile)) + base->szOsFile;
  vfs.mxPathname = base->mxPathname;
  vfs.zName = kName;
  vfs.pAppData = base;
  vfs.xOpen = open;
  vfs.xDelete = remove;
  vfs.xAccess = access;
  vfs.xFullPathname = full_pathname;
  vfs.xRandomness = randomness;
  vfs.xSleep = sleep;
  vfs.xCurrentTime = current_time;
  vfs.xGetLastError = last_error;
  vfs.xCurrentTimeInt64 = current_time_64;
  return sqlite3_vfs_register(&vfs, 0);
}

}  // namespace

Result<const char*> gathering_vfs() {
  static const int registered = register_vfs();
  if (registered != SQLITE_OK) return fail(Errc::internal, "SQLite has no VFS to stand on");
  return kName;
}

}  // namespace patchbay::store::sqlite
