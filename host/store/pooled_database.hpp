#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "store/connection.hpp"
#include "store/database.hpp"

namespace patchbay::store {

struct PoolSettings {
  std::string_view dialect;
  int readers = 4;
  int tries = 4;  // of a transaction that others were in the way of
  std::function<Result<std::unique_ptr<Connection>>(Access)> open;
  std::function<void()> closed = [] {};  // after the last connection
  bool shared = false;
  std::string_view space = {};  // a statement: bytes used, bytes unused
  // A script that gives up to so many unused bytes back; empty: the server does that.
  std::function<std::string(std::int64_t bytes)> shrink = {};
  std::string_view compact = {};  // a script
  std::string_view take_place = {};  // a statement: true when nobody holds the place $1; empty: nobody else ever does
};

// A Database of connections: one writer behind a mutex, so that a process never waits for its own locks, and a pool of
// readers. A connection that breaks is replaced, and its transaction run again unless its COMMIT was on the way. The first
// connection, the writer, is made here: its error is this function's.
[[nodiscard]] Result<std::unique_ptr<Database>> make_pooled_database(PoolSettings settings);

}  // namespace patchbay::store
