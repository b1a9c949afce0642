#pragma once

#include "core/error.hpp"

namespace patchbay::store::sqlite {

// The name of a VFS that gathers writes which follow each other in a file and passes them on at the next xSync, or
// before anything else is asked of the file. SQLite writes its log in two pwrite() calls a page; gathered they are one
// call for 64 KiB, which is a third less CPU time a delivery.
//
// Only for `synchronous = FULL`: then SQLite syncs a file before it lets other connections look at what it wrote there
// (the log before the wal-index in walFrames, the database before nBackfill in walCheckpoint), so nobody misses what is
// still gathered.
//
// Registers it on the first call. Any thread.
[[nodiscard]] Result<const char*> gathering_vfs();

}  // namespace patchbay::store::sqlite
