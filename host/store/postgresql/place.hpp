#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/error.hpp"

namespace patchbay::store::postgresql {

// A host's place: an advisory lock of a session of its own, which the server drops with the connection, also when the
// process died; announcements come over the same connection. One that breaks is made anew, in the background.
class Place {
 public:
  // heard runs on this place's thread: for each announcement of others, and after a gap in which some may have got lost.
  [[nodiscard]] static Result<std::unique_ptr<Place>> take(const std::string& url, std::string name, std::function<void()> heard);
  ~Place();
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

 private:
  struct Impl;
  explicit Place(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// With the name as $1: true when nobody held it.
inline constexpr const char* kTakePlace = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 7061746368626179))";

}  // namespace patchbay::store::postgresql
