#pragma once

#include <string>
#include <string_view>

#include "core/id.hpp"

namespace patchbay::vault {

// What a secret belongs to: its record and the record's owner. An envelope opens for nothing else. The name is part of
// what is kept, so it never changes; it holds no '|'.
struct Purpose {
  std::string name;
  std::string before_owners = name;  // as format 1 has it
};

[[nodiscard]] inline Purpose credential_purpose(ConnectionId connection, UserId owner) {
  auto record = "credential/" + connection.to_string();
  return {record + '/' + owner.to_string(), record};
}

[[nodiscard]] inline Purpose watch_purpose(WatchId watch, UserId owner) {
  auto record = "watch/" + watch.to_string();
  return {record + '/' + owner.to_string(), record};
}

// hash: of the authorization's state, as it is kept. Never in format 1.
[[nodiscard]] inline Purpose authorization_purpose(std::string_view hash, UserId owner) {
  return {"authorization/" + std::string(hash) + '/' + owner.to_string(), {}};
}

}  // namespace patchbay::vault
