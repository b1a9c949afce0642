// `why`: how far a delivery, an event or a run came, and what stopped it.
#include <algorithm>

#include <fmt/format.h>

#include "core/json.hpp"
#include "engine/purge.hpp"
#include "engine/runs.hpp"
#include "flow/template_text.hpp"

namespace patchbay::engine {
namespace {

using store::Row;
using store::Transaction;

struct DeliveryFacts {
  std::string id;
  Timestamp received;
  std::string method;
  std::string status;
  int attempt = 0;
  int http_status = 0;
  int events = 0;
  std::int64_t bytes = 0;
  std::string error;
  std::string known_event;
  std::string provider;
  std::string trigger;
};

struct EventFacts {
  std::string id;
  std::string key;
  std::string delivery;
  Timestamp received;
  std::string run;
};

struct Facts {
  std::string subject;
  std::optional<DeliveryFacts> delivery;
  std::vector<EventFacts> events;
};

Result<> read_delivery(Transaction& transaction, std::string_view user, std::string_view id, Facts& facts) {
  auto rows = transaction.execute(
      "SELECT d.id, d.received_at, d.method, d.status, d.attempt, d.http_status, d.events, d.body_size, d.error, "
      "w.provider, w.trigger_name, d.known_event FROM deliveries d LEFT JOIN watches w ON w.id = d.watch_id "
      "WHERE d.id = $1 AND (d.user_id = $2 OR $2 = '')",
      {id, user}, [&](const Row& row) {
        facts.delivery = DeliveryFacts{.id = std::string(row.text(0)),
                                       .received = from_micros(row.integer(1)),
                                       .method = std::string(row.text(2)),
                                       .status = std::string(row.text(3)),
                                       .attempt = static_cast<int>(row.integer(4)),
                                       .http_status = static_cast<int>(row.integer(5)),
                                       .events = static_cast<int>(row.integer(6)),
                                       .bytes = row.integer(7),
                                       .error = std::string(row.text(8)),
                                       .known_event = std::string(row.text(11)),
                                       .provider = std::string(row.text(9)),
                                       .trigger = std::string(row.text(10))};
      });
  if (!rows) return std::unexpected(rows.error());
  return {};
}

store::OnRow into(std::vector<EventFacts>& events) {
  return [&events](const Row& row) {
    events.push_back({std::string(row.text(0)), std::string(row.text(1)), std::string(row.text(2)),
                      from_micros(row.integer(3)), std::string(row.text(4))});
  };
}

// Finds what `id` names: a delivery, a run, an event, or the provider's key of events.
Result<> read_facts(Transaction& transaction, std::string_view user, std::string_view id, Facts& facts) {
  facts = {};
  if (auto read = read_delivery(transaction, user, id, facts); !read) return read;
  if (facts.delivery) {
    facts.subject = fmt::format("delivery {}", id);
    auto rows = transaction.execute(
        "SELECT e.id, e.event_key, e.delivery_id, e.received_at, r.id FROM events e LEFT JOIN runs r ON r.id = "
        "e.run_id WHERE e.delivery_id = $1",
        {id}, into(facts.events));
    if (!rows) return std::unexpected(rows.error());
    return {};
  }
  auto by_event = transaction.execute(
      "SELECT e.id, e.event_key, e.delivery_id, e.received_at, r.id FROM events e JOIN runs r ON r.id = e.run_id "
      "WHERE e.id = $1 AND (r.user_id = $2 OR $2 = '')",
      {id, user}, into(facts.events));
  if (!by_event) return std::unexpected(by_event.error());
  facts.subject = fmt::format("event {}", id);
  if (facts.events.empty()) {
    auto by_run = transaction.execute(
        "SELECT e.id, e.event_key, e.delivery_id, e.received_at, r.id FROM runs r JOIN events e ON e.id = r.event_id "
        "WHERE r.id = $1 AND (r.user_id = $2 OR $2 = '')",
        {id, user}, into(facts.events));
    if (!by_run) return std::unexpected(by_run.error());
    facts.subject = fmt::format("run {}", id);
  }
  if (facts.events.empty()) {
    auto by_key = transaction.execute(
        "SELECT e.id, e.event_key, e.delivery_id, e.received_at, r.id FROM watches w JOIN events e ON e.watch_id = "
        "w.id "
        "LEFT JOIN runs r ON r.id = e.run_id WHERE e.event_key = $1 AND (w.user_id = $2 OR $2 = '')",
        {id, user}, into(facts.events));
    if (!by_key) return std::unexpected(by_key.error());
    facts.subject = fmt::format("event key {}", id);
  }
  if (facts.events.empty()) return fail(Errc::not_found, fmt::format("nothing here has the id or key '{}'", id));
  const auto delivery = facts.events.front().delivery;
  return delivery.empty() ? Result<>{} : read_delivery(transaction, user, delivery, facts);
}

void explain_delivery(const DeliveryFacts& delivery, Explanation& explanation) {
  explanation.gates.push_back(
      {"received", true,
       fmt::format("{} with {} bytes for {}.{}", delivery.method, delivery.bytes,
                   delivery.provider.empty() ? "a stopped watch" : delivery.provider, delivery.trigger),
       delivery.received});
  explanation.gates.push_back({"verified", true, "only proven requests are kept", std::nullopt});
  const bool processed = delivery.status == "processed";
  auto detail = fmt::format("{} at attempt {}", delivery.status, delivery.attempt);
  if (!delivery.error.empty()) detail += ": " + delivery.error;
  explanation.gates.push_back({"recorded", processed, detail, std::nullopt});
  if (!processed) explanation.conclusion = "the delivery is " + detail;
}

constexpr std::size_t kLongestValue = 200;

// What a condition read, with the values that it had: "opened.issue.labels.name = [\"bug\"]".
std::string readings_of(const RunDetail& run, const StepDetail& condition) {
  const auto parts = flow::split_text(condition.condition);
  if (!parts || !flow::is_typed(*parts)) return {};
  std::vector<std::string> names;
  std::vector<JsonView> outputs;
  std::vector<std::shared_ptr<const JsonDocument>> documents;
  for (const auto& step : run.steps) {
    names.push_back(step.node);
    auto parsed = JsonDocument::parse(step.output.empty() ? "null" : step.output);
    const bool has_output = parsed && !step.output.empty();
    outputs.push_back(has_output ? (*parsed)->root() : JsonView{});
    if (has_output) documents.push_back(*std::move(parsed));
  }
  const auto expression = flow::Expression::compile(parts->front().text, names);
  if (!expression) return {};
  std::string text;
  for (auto& [path, value] : expression->readings({names, outputs})) {
    if (value.size() > kLongestValue) value = value.substr(0, kLongestValue) + "…";
    text += fmt::format("{}{} = {}", text.empty() ? "" : ", ", path, value);
  }
  return text;
}

void explain_run(const RunDetail& run, Explanation& explanation) {
  for (const auto& step : run.steps) {
    if (step.kind == "trigger") continue;
    auto detail = step.status;
    if (!step.port.empty()) detail += " on port " + step.port;
    if (!step.condition.empty()) {
      detail += ": " + step.condition;
      if (const auto readings = readings_of(run, step); !readings.empty()) detail += ", where " + readings;
    }
    if (step.attempt > 1) detail += fmt::format(", attempt {}", step.attempt);
    if (step.next) detail += ", next at " + to_rfc3339(*step.next);
    if (!step.error.empty()) detail += ": " + step.error;
    explanation.gates.push_back(
        {"step:" + step.node, step.status == "completed", detail, step.finished ? step.finished : step.started});
  }
  explanation.gates.push_back({"answered", run.status == "completed",
                               run.error.empty() ? "run " + run.status : "run " + run.status + ": " + run.error,
                               run.finished});
  if (!explanation.conclusion.empty()) return;
  if (run.status == "failed") {
    explanation.conclusion = "run " + run.id.to_string() + " failed: " + run.error;
  } else if (run.status != "completed") {
    explanation.conclusion = "run " + run.id.to_string() + " is " + run.status;
    const auto waits = std::find_if(run.steps.begin(), run.steps.end(), [](const auto& step) { return step.next || step.status == "maybe"; });
    if (waits != run.steps.end()) {
      explanation.conclusion += fmt::format(": step '{}' {}", waits->node, waits->status == "maybe" ? "waits for a person" : "waits until " + to_rfc3339(*waits->next));
      if (!waits->error.empty()) explanation.conclusion += " (" + waits->error + ")";
    }
  } else if (const auto closed = std::find_if(run.steps.begin(), run.steps.end(),
                                              [](const auto& step) { return step.port == "false"; });
             closed != run.steps.end()) {
    explanation.conclusion = "the run completed; condition '" + closed->node + "' was false";
    if (const auto readings = readings_of(run, *closed); !readings.empty()) explanation.conclusion += ": " + readings;
  }
}

}  // namespace

Result<Explanation> why(store::Database& database, UserId user, std::string_view id) {
  const std::string owner = user.is_nil() ? "" : user.to_string();
  Facts facts;
  auto read = database.read([&](Transaction& transaction) { return read_facts(transaction, owner, id, facts); });
  if (!read) return std::unexpected(read.error());

  Explanation explanation;
  explanation.subject = facts.subject;
  if (facts.delivery) explain_delivery(*facts.delivery, explanation);
  if (facts.delivery) explanation.at = facts.delivery->received;
  if (facts.delivery && facts.events.empty() && explanation.conclusion.empty()) {
    const auto& known = facts.delivery->known_event;
    explanation.conclusion = known.empty() ? "the trigger did not want it: it brought no event"
                                           : fmt::format("its event was known before: a repetition of {}", known);
    explanation.gates.push_back({known.empty() ? "matched" : "deduplicated", false, explanation.conclusion, std::nullopt});
  }
  for (const auto& event : facts.events) {
    if (!explanation.at) explanation.at = event.received;
    explanation.gates.push_back({"matched", true, "event " + event.key, event.received});
    const auto run_id = RunId::parse(event.run);
    if (!run_id) continue;
    auto run = find_run(database, user, *run_id);
    if (!run) return std::unexpected(run.error());
    explain_run(*run, explanation);
  }
  if (explanation.conclusion.empty()) explanation.conclusion = "everything was done";
  return explanation;
}

namespace {

bool was_stopped(const Explanation& explanation) {
  return std::any_of(explanation.gates.begin(), explanation.gates.end(), [](const Gate& gate) { return !gate.passed; });
}

Result<std::vector<std::string>> ids_of_time(store::Database& database, const WhyFilter& filter) {
  std::vector<std::string> ids;
  const auto user = filter.user.to_string();
  const auto flow = filter.flow ? filter.flow->to_string() : "";
  const auto since = purge_boundary(filter.since);
  const auto until = purge_boundary(filter.until);
  auto read = database.read([&](Transaction& transaction) -> Result<> {
    ids.clear();
    const auto add = [&ids](const Row& row) { ids.emplace_back(row.text(0)); };
    auto runs = transaction.execute(
        "SELECT id FROM runs WHERE user_id = $1 AND id >= $2 AND id < $3 AND ($4 = '' OR flow_id = $4) ORDER BY id DESC LIMIT $5",
        {std::string_view(user), std::string_view(since), std::string_view(until), std::string_view(flow), std::int64_t{filter.limit}}, add);
    if (!runs) return std::unexpected(runs.error());
    auto deliveries = transaction.execute(
        "SELECT id FROM deliveries WHERE user_id = $1 AND id >= $2 AND id < $3 AND ($4 = '' OR flow_id = $4) AND events = 0 ORDER BY id DESC LIMIT $5",
        {std::string_view(user), std::string_view(since), std::string_view(until), std::string_view(flow), std::int64_t{filter.limit}}, add);
    if (!deliveries) return std::unexpected(deliveries.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  std::sort(ids.rbegin(), ids.rend());
  return ids;
}

}  // namespace

Result<std::vector<Explanation>> why_of_time(store::Database& database, const WhyFilter& filter) {
  const auto ids = ids_of_time(database, filter);
  if (!ids) return std::unexpected(ids.error());
  std::vector<Explanation> all;
  for (const auto& id : *ids) {
    auto explanation = why(database, filter.user, id);
    if (explanation) all.push_back(*std::move(explanation));
    else if (explanation.error().code != Errc::not_found) return std::unexpected(explanation.error());  // removed meanwhile
  }
  std::stable_partition(all.begin(), all.end(), was_stopped);
  if (std::ssize(all) > filter.limit) all.resize(static_cast<std::size_t>(filter.limit));
  return all;
}

}  // namespace patchbay::engine
