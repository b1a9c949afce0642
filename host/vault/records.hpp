#pragma once

#include <optional>
#include <string>
#include <vector>

#include "store/database.hpp"
#include "vault/connection.hpp"

namespace patchbay::vault {

// What happened around a user's connections, as it is shown. Newest first; `before` is the cursor. Blocking, any thread.

struct Notification {
  std::string id;
  std::string kind;
  std::string subject;
  std::string message;
  Timestamp created;
  std::optional<Timestamp> read;
};
[[nodiscard]] Result<std::vector<Notification>> list_notifications(store::Database& database, UserId user, int limit, const std::string& before);
// Errc::not_found.
[[nodiscard]] Result<> mark_read(store::Database& database, UserId user, const std::string& id, Timestamp now);

struct AuditEntry {
  std::string id;
  std::string actor;
  std::string action;
  std::string subject;
  std::string detail;
  Timestamp created;
};
[[nodiscard]] Result<std::vector<AuditEntry>> list_audit_entries(store::Database& database, UserId user, int limit, const std::string& before);

struct GrantChange {
  std::string kind;
  Scopes scopes;
  Timestamp created;
};
[[nodiscard]] Result<std::vector<GrantChange>> grant_changes(store::Database& database, ConnectionId connection);

// The active flows that listen with this connection.
[[nodiscard]] Result<std::vector<FlowId>> flows_listening_with(store::Database& database, UserId user, ConnectionId connection);

}  // namespace patchbay::vault
