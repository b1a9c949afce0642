// What a user should know, and what was done.
#include <nlohmann/json.hpp>

#include "api/input.hpp"
#include "api/router.hpp"
#include "core/time.hpp"
#include "vault/records.hpp"

namespace patchbay::api {
namespace {

using nlohmann::json;

json to_json(const vault::Notification& note) {
  return {{"id", note.id},           {"kind", note.kind},       {"subject", note.subject},
          {"message", note.message}, {"created_at", to_rfc3339(note.created)},
          {"read_at", note.read ? json(to_rfc3339(*note.read)) : json(nullptr)}};
}

json to_json(const vault::AuditEntry& entry) {
  return {{"id", entry.id},         {"actor", entry.actor},   {"action", entry.action},
          {"subject", entry.subject}, {"detail", entry.detail}, {"created_at", to_rfc3339(entry.created)}};
}

// One more is asked for than fits: then there is another page.
template <class List>
Response paged(const Request& request, const Context& context, List list) {
  QueryReader query(request);
  const int limit = query.limit();
  const auto after = query.id<Id<struct RecordTag>>("cursor");
  if (auto refused = query.refusal()) return *refused;
  auto found = list(context.services.database, context.principal.user, limit + 1, after ? after->to_string() : "");
  if (!found) return problem(found.error(), request.request_id);
  const bool more = std::ssize(*found) > limit;
  if (more) found->resize(static_cast<std::size_t>(limit));
  json data = json::array();
  for (const auto& record : *found) data.push_back(to_json(record));
  return json_response(200, {{"data", data}, {"next", more ? data.back()["id"] : json(nullptr)}});
}

Response notifications(const Request& request, const Context& context) { return paged(request, context, vault::list_notifications); }
Response audit(const Request& request, const Context& context) { return paged(request, context, vault::list_audit_entries); }

Response read_notification(const Request& request, const Context& context) {
  auto done = vault::mark_read(context.services.database, context.principal.user, request.parameters.at("id"), system_clock().now());
  return done ? no_content() : problem(done.error(), request.request_id);
}

}  // namespace

void add_record_routes(std::vector<Route>& routes) {
  routes.push_back({"GET", "/api/v1/notifications", Access::user, notifications, {"limit", "cursor"}});
  routes.push_back({"POST", "/api/v1/notifications/{id}/read", Access::user, read_notification});
  routes.push_back({"GET", "/api/v1/audit", Access::user, audit, {"limit", "cursor"}});
}

}  // namespace patchbay::api
