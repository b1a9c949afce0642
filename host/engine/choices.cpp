#include "engine/choices.hpp"

#include <future>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace patchbay::engine {
namespace {

using nlohmann::json;

constexpr std::chrono::seconds kFresh{60};
constexpr std::chrono::seconds kPatience{15};
constexpr std::size_t kKeptAtMost = 1'000;

// The reaction that lists what the parameter can be. Empty: there is none.
std::string lister_of(const plugin::Operation& operation, const std::string& param) {
  const auto schema = json::parse(operation.params, nullptr, false);
  const json::json_pointer pointer("/properties/" + param + "/x-choices/reaction");
  return schema.is_object() && schema.contains(pointer) && schema[pointer].is_string() ? schema[pointer].get<std::string>() : "";
}

// Of what is known, what the lister takes.
Result<std::string> params_for(const plugin::Operation& lister, const ChoiceQuery& query) {
  const auto schema = json::parse(lister.params, nullptr, false);
  auto given = json::parse(query.given, nullptr, false);
  if (!given.is_object()) return fail(Errc::invalid, "params must be a JSON object");
  if (!query.search.empty()) given["search"] = query.search;
  if (!query.cursor.empty()) given["cursor"] = query.cursor;
  json params = json::object();
  const auto known = schema.value("properties", json::object());
  for (const auto& [name, value] : given.items()) {
    if (known.contains(name)) params[name] = value;
  }
  for (const auto& name : schema.value("required", json::array())) {
    if (!params.contains(name.get<std::string>())) return fail(Errc::invalid, fmt::format("params.{} must be chosen first", name.get<std::string>()));
  }
  return params.dump();
}

// {"choices":[…],"next":…}, and nothing else that a plugin may have said.
Result<std::string> page_of(const std::string& provider, const std::string& output) {
  const auto said = json::parse(output, nullptr, false);
  if (!said.is_object() || !said.contains("choices") || !said["choices"].is_array()) {
    return fail(Errc::unavailable, provider + " did not answer with choices");
  }
  json page{{"choices", json::array()}, {"next", nullptr}};
  for (const auto& choice : said["choices"]) {
    if (!choice.is_object() || !choice.contains("value")) continue;
    const auto& value = choice["value"];
    page["choices"].push_back({{"value", value}, {"label", choice.value("label", value.is_string() ? value.get<std::string>() : value.dump())}});
  }
  if (said.contains("next") && said["next"].is_string()) page["next"] = said["next"];
  return page.dump();
}

}  // namespace

Result<std::string> Choices::find(const ChoiceQuery& query) {
  const auto manifest = registry_.manifest(query.provider);
  const auto dot = query.operation.find('.');
  if (!manifest || query.operation.substr(0, dot) != query.provider || dot == std::string::npos) {
    return fail(Errc::invalid, fmt::format("'{}' is no operation of {}", query.operation, query.provider));
  }
  const auto name = query.operation.substr(dot + 1);
  const auto* operation = manifest->trigger(name) != nullptr ? manifest->trigger(name) : manifest->reaction(name);
  if (operation == nullptr) return fail(Errc::invalid, fmt::format("{} has no trigger or reaction '{}'", query.provider, name));
  const auto lister = lister_of(*operation, query.param);
  const auto* reaction = lister.empty() ? nullptr : manifest->reaction(lister);
  if (reaction == nullptr) return fail(Errc::not_found, fmt::format("{} has nothing to choose from for '{}'", query.operation, query.param));
  const auto params = params_for(*reaction, query);
  if (!params) return params;
  const auto key = query.connection.to_string() + " " + lister + " " + *params;
  if (auto known = kept(key); !known.empty()) return known;
  auto output = ask(query, lister, *params);
  if (!output) return output;
  auto page = page_of(query.provider, *output);
  if (page) keep(key, *page);
  return page;
}

Result<std::string> Choices::ask(const ChoiceQuery& query, const std::string& reaction, const std::string& params) {
  auto promise = std::make_shared<std::promise<Result<std::string>>>();
  auto answer = promise->get_future();
  plugin::Call call;
  call.verb = plugin::Verb::reaction;
  call.name = reaction;
  call.params = params;
  call.key = "choices:" + Uuid::make(clock_.now()).to_string();
  call.connection = query.connection;
  call.deadline = clock_.now() + kPatience;
  loop_.post([this, provider = query.provider, call = std::move(call), promise]() mutable {
    auto* asked = registry_.provider(provider);
    if (asked == nullptr) return promise->set_value(fail(Errc::unavailable, "the plugin for " + provider + " is not loaded"));
    asked->begin(std::move(call), [promise](plugin::Outcome outcome) {
      if (outcome.error) promise->set_value(std::unexpected(*outcome.error));
      else promise->set_value(std::move(outcome.output));
    });
  });
  if (answer.wait_for(kPatience + std::chrono::seconds{2}) != std::future_status::ready) return fail(Errc::timeout, query.provider + " did not answer in time");
  return answer.get();
}

std::string Choices::kept(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = answers_.find(key);
  return found == answers_.end() || found->second.until < clock_.now() ? "" : found->second.answer;
}

void Choices::keep(const std::string& key, const std::string& answer) {
  const std::lock_guard lock(mutex_);
  const auto now = clock_.now();
  if (answers_.size() >= kKeptAtMost) std::erase_if(answers_, [now](const auto& entry) { return entry.second.until < now; });
  if (answers_.size() >= kKeptAtMost) answers_.clear();
  answers_[key] = {answer, now + kFresh};
}

}  // namespace patchbay::engine
