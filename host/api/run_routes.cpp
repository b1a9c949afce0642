#include <nlohmann/json.hpp>

#include "api/input.hpp"
#include "api/router.hpp"
#include "core/time.hpp"
#include "engine/replay.hpp"
#include "engine/run_actions.hpp"
#include "engine/runs.hpp"
#include "journal/journal.hpp"

namespace patchbay::api {
namespace {

using nlohmann::json;

json time_json(const std::optional<Timestamp>& time) { return time ? json(to_rfc3339(*time)) : json(nullptr); }
json text_json(const std::string& text) { return text.empty() ? json(nullptr) : json(text); }

json to_json(const engine::RunSummary& run) {
  return {{"id", run.id.to_string()},
          {"flow_id", run.flow.to_string()},
          {"flow_version", run.flow_version},
          {"event_id", run.event.to_string()},
          {"status", run.status},
          {"created_at", to_rfc3339(run.created)},
          {"started_at", time_json(run.started)},
          {"finished_at", time_json(run.finished)},
          {"error", text_json(run.error)},
          {"replay_of", run.replay_of ? json(run.replay_of->to_string()) : json(nullptr)},
          {"replay_from", text_json(run.replay_from)}};
}

json to_json(const engine::StepDetail& step) {
  return {{"node", step.node},
          {"kind", step.kind},
          {"status", step.status},
          {"port", text_json(step.port)},
          {"attempt", step.attempt},
          {"input", json_or_text(step.input)},
          {"output", json_or_text(step.output)},
          {"error", text_json(step.error)},
          {"started_at", time_json(step.started)},
          {"finished_at", time_json(step.finished)},
          {"next_at", time_json(step.next)}};
}

json to_json(const journal::DeliverySummary& delivery) {
  return {{"id", delivery.id.to_string()},
          {"watch_id", delivery.watch.to_string()},
          {"flow_id", delivery.flow.to_string()},
          {"received_at", to_rfc3339(delivery.received)},
          {"method", delivery.method},
          {"status", delivery.status},
          {"attempt", delivery.attempt},
          {"http_status", delivery.http_status == 0 ? json(nullptr) : json(delivery.http_status)},
          {"events", delivery.events},
          {"body_bytes", delivery.body_bytes},
          {"error", text_json(delivery.error)}};
}

json to_json(const engine::DeadLetterRecord& letter) {
  return {{"id", letter.id},
          {"kind", letter.kind},
          {"run_id", letter.run.to_string()},
          {"flow_id", letter.flow.to_string()},
          {"node", letter.node},
          {"reason", letter.reason},
          {"created_at", to_rfc3339(letter.created)}};
}

// One more than asked for was read: it tells whether there is a next page.
template <class Items>
Response page(const Items& items, int limit) {
  json data = json::array();
  for (const auto& item : items) {
    if (std::ssize(data) < limit) data.push_back(to_json(item));
  }
  const bool more = std::ssize(items) > limit;
  return json_response(200, {{"next", more ? data.back()["id"] : json(nullptr)}, {"data", data}});
}

Response list_runs(const Request& request, const Context& context) {
  QueryReader query(request);
  engine::RunFilter filter;
  filter.user = context.principal.user;
  const int limit = query.limit();
  filter.limit = limit + 1;
  filter.flow = query.id<FlowId>("flow_id");
  filter.before = query.id<RunId>("cursor");
  filter.statuses = query.words("status", {"pending", "running", "completed", "failed", "cancelled", "paused"});
  if (auto refused = query.refusal()) return *refused;
  auto runs = engine::list_runs(context.services.database, filter);
  return runs ? page(*runs, limit) : problem(runs.error(), request.request_id);
}

Response show_run(const Request& request, const Context& context) {
  const auto id = RunId::parse(request.parameters.at("id"));
  if (!id) return problem(404, "not_found", "there is no such run", request.request_id);
  auto run = engine::find_run(context.services.database, context.principal.user, *id);
  if (!run) return problem(run.error(), request.request_id);
  auto shown = to_json(static_cast<const engine::RunSummary&>(*run));
  shown["flow_name"] = run->flow_name;
  shown["watch_id"] = run->watch.to_string();
  shown["event_key"] = run->event_key;
  shown["delivery_id"] = run->delivery ? json(run->delivery->to_string()) : json(nullptr);
  shown["steps"] = json::array();
  for (const auto& step : run->steps) shown["steps"].push_back(to_json(step));
  return json_response(200, shown);
}

Response replay_run(const Request& request, const Context& context) {
  const auto id = RunId::parse(request.parameters.at("id"));
  if (!id) return problem(404, "not_found", "there is no such run", request.request_id);
  QueryReader query(request);
  engine::ReplayWish wish{.user = context.principal.user, .run = *id};
  wish.from = query.text("from").value_or("");
  wish.current = query.word("version", {"same", "current"}) == "current";
  if (auto refused = query.refusal()) return *refused;
  const auto made = engine::insert_replay(context.services.database, wish, system_clock().now());
  if (!made) return problem(made.error(), request.request_id);
  context.services.look_for_runs();
  auto run = engine::find_run(context.services.database, context.principal.user, *made);
  if (!run) return problem(run.error(), request.request_id);
  return json_response(202, to_json(static_cast<const engine::RunSummary&>(*run)));
}

// Does something to the run that the path names and shows it.
template <class Action>
Response act_on_run(const Request& request, const Context& context, Action action) {
  const auto id = RunId::parse(request.parameters.at("id"));
  if (!id) return problem(404, "not_found", "there is no such run", request.request_id);
  if (const auto done = action(*id); !done) return problem(done.error(), request.request_id);
  auto run = engine::find_run(context.services.database, context.principal.user, *id);
  if (!run) return problem(run.error(), request.request_id);
  return json_response(200, to_json(static_cast<const engine::RunSummary&>(*run)));
}

Response cancel_run(const Request& request, const Context& context) {
  return act_on_run(request, context, [&](RunId id) -> Result<> {
    auto done = engine::cancel_run(context.services.database, context.principal.user, id, system_clock().now());
    if (done) context.services.drop_run(id);
    return done;
  });
}

Response decide_run(const Request& request, const Context& context) {
  QueryReader query(request);
  const auto node = query.text("node");
  const auto as = query.word("as", {"done", "repeat", "fail"});
  if (auto refused = query.refusal()) return *refused;
  if (!node || !as) return problem(400, "invalid", "say ?node= and ?as=done, repeat or fail", request.request_id);
  const auto decision = *as == "done" ? engine::Decision::done : *as == "fail" ? engine::Decision::fail : engine::Decision::repeat;
  return act_on_run(request, context, [&](RunId id) {
    auto done = engine::decide_step(context.services.database, context.principal.user, id, *node, decision, system_clock().now());
    if (done) context.services.look_for_runs();
    return done;
  });
}

Response list_dead_letters(const Request& request, const Context& context) {
  QueryReader query(request);
  const int limit = query.limit();
  const auto before = query.text("cursor").value_or("");
  if (auto refused = query.refusal()) return *refused;
  auto letters = engine::list_dead_letters(context.services.database, context.principal.user, limit + 1, before);
  return letters ? page(*letters, limit) : problem(letters.error(), request.request_id);
}

Response dismiss_dead_letter(const Request& request, const Context& context) {
  auto done = engine::dismiss_dead_letter(context.services.database, context.principal.user, request.parameters.at("id"));
  if (!done) return problem(done.error(), request.request_id);
  return no_content();
}

Response retry_delivery(const Request& request, const Context& context) {
  const auto id = DeliveryId::parse(request.parameters.at("id"));
  if (!id) return problem(404, "not_found", "there is no such delivery", request.request_id);
  const auto user = context.principal.user;
  if (auto done = engine::retry_delivery(context.services.database, user, *id, system_clock().now()); !done) return problem(done.error(), request.request_id);
  auto delivery = journal::find_delivery(context.services.database, user, *id);
  if (!delivery) return problem(delivery.error(), request.request_id);
  return json_response(202, to_json(static_cast<const journal::DeliverySummary&>(*delivery)));
}

Response list_deliveries(const Request& request, const Context& context) {
  QueryReader query(request);
  journal::DeliveryFilter filter;
  filter.user = context.principal.user;
  const int limit = query.limit();
  filter.limit = limit + 1;
  filter.flow = query.id<FlowId>("flow_id");
  filter.watch = query.id<WatchId>("watch_id");
  filter.before = query.id<DeliveryId>("cursor");
  filter.status = query.word("status", {"pending", "processing", "processed", "retry_ready", "dead"});
  if (auto refused = query.refusal()) return *refused;
  auto deliveries = journal::list_deliveries(context.services.database, filter);
  return deliveries ? page(*deliveries, limit) : problem(deliveries.error(), request.request_id);
}

Response show_delivery(const Request& request, const Context& context) {
  const auto id = DeliveryId::parse(request.parameters.at("id"));
  if (!id) return problem(404, "not_found", "there is no such delivery", request.request_id);
  auto delivery = journal::find_delivery(context.services.database, context.principal.user, *id);
  if (!delivery) return problem(delivery.error(), request.request_id);
  auto shown = to_json(static_cast<const journal::DeliverySummary&>(*delivery));
  shown["query"] = delivery->query;
  shown["headers"] = json_or_text(delivery->headers_json);
  shown["body"] = json_or_text(delivery->body);
  json events = json::array();
  for (const auto& event : delivery->event_list) {
    events.push_back({{"id", event.id.to_string()},
                      {"key", event.key},
                      {"run_id", event.run ? json(event.run->to_string()) : json(nullptr)}});
  }
  shown["event_list"] = events;
  return json_response(200, shown);
}

json to_json(const engine::Explanation& explanation) {
  json gates = json::array();
  for (const auto& gate : explanation.gates) {
    gates.push_back(
        {{"name", gate.name}, {"passed", gate.passed}, {"detail", gate.detail}, {"at", time_json(gate.at)}});
  }
  return {{"subject", explanation.subject}, {"conclusion", explanation.conclusion}, {"at", time_json(explanation.at)}, {"gates", gates}};
}

Response why(const Request& request, const Context& context) {
  QueryReader query(request);
  const auto id = query.text("id");
  engine::WhyFilter filter;
  filter.user = context.principal.user;
  const auto since = query.time("since");
  const auto now = system_clock().now();
  filter.until = query.time("until").value_or(now);
  filter.flow = query.id<FlowId>("flow_id");
  filter.limit = query.limit();
  if (auto refused = query.refusal()) return *refused;
  if (id && !id->empty()) {
    auto explanation = engine::why(context.services.database, context.principal.user, *id);
    return explanation ? json_response(200, to_json(*explanation)) : problem(explanation.error(), request.request_id);
  }
  if (!since) {
    return problem(400, "invalid", "say of what: ?id= of a delivery, event or run, or an event's key; or of which time: ?since=",
                   request.request_id);
  }
  filter.since = *since;
  auto all = engine::why_of_time(context.services.database, filter);
  if (!all) return problem(all.error(), request.request_id);
  json data = json::array();
  for (const auto& explanation : *all) data.push_back(to_json(explanation));
  return json_response(200, {{"data", data}, {"next", nullptr}});
}

Response compare_run(const Request& request, const Context& context) {
  const auto id = RunId::parse(request.parameters.at("id"));
  if (!id) return problem(404, "not_found", "there is no such run", request.request_id);
  auto comparison = engine::compare_replay(context.services.database, context.principal.user, *id);
  if (!comparison) return problem(comparison.error(), request.request_id);
  json nodes = json::array();
  for (const auto& node : comparison->nodes) {
    const auto step = [](const engine::StepDetail& detail) { return detail.node.empty() ? json(nullptr) : to_json(detail); };
    nodes.push_back({{"node", node.node}, {"same", node.same}, {"before", step(node.before)}, {"after", step(node.after)}});
  }
  return json_response(200, {{"original", comparison->original.to_string()}, {"replay", comparison->replay.to_string()}, {"same", comparison->is_same()}, {"nodes", nodes}});
}

}  // namespace

void add_run_routes(std::vector<Route>& routes) {
  routes.push_back({"GET", "/api/v1/runs", Access::user, list_runs, {"flow_id", "status", "limit", "cursor"}});
  routes.push_back({"GET", "/api/v1/runs/{id}", Access::user, show_run});
  routes.push_back({"POST", "/api/v1/runs/{id}/replay", Access::user, replay_run, {"from", "version"}});
  routes.push_back({"POST", "/api/v1/runs/{id}/cancel", Access::user, cancel_run});
  routes.push_back({"POST", "/api/v1/runs/{id}/decide", Access::user, decide_run, {"node", "as"}});
  routes.push_back({"GET", "/api/v1/dead-letters", Access::user, list_dead_letters, {"limit", "cursor"}});
  routes.push_back({"DELETE", "/api/v1/dead-letters/{id}", Access::user, dismiss_dead_letter});
  routes.push_back({"POST", "/api/v1/deliveries/{id}/retry", Access::user, retry_delivery});
  routes.push_back({"GET",
                    "/api/v1/deliveries",
                    Access::user,
                    list_deliveries,
                    {"flow_id", "watch_id", "status", "limit", "cursor"}});
  routes.push_back({"GET", "/api/v1/deliveries/{id}", Access::user, show_delivery});
  routes.push_back({"GET", "/api/v1/runs/{id}/comparison", Access::user, compare_run});
  routes.push_back({"GET", "/api/v1/why", Access::user, why, {"id", "since", "until", "flow_id", "limit"}});
}

}  // namespace patchbay::api
