#include "flow/schema.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "flow/nearest.hpp"
#include "flow/template_text.hpp"

namespace patchbay::flow {
namespace {

using nlohmann::json;

// libstdc++'s regular expressions take a stack frame a character: longer strings are not matched against patterns.
constexpr std::size_t kLongestMatched = 2048;

enum class Known { text, nothing };  // what is known of a value with expressions

// The parameters with expressions replaced by strings, and where that was done.
struct Instance {
  json value;
  std::map<std::string, Known> dynamic;  // by pointer within the parameters
  bool has_long_text = false;
};

json substitute(const JsonView& value, const std::string& pointer, Instance& instance) {
  if (value.type() == JsonType::string) {
    const auto parts = split_text(value.string());
    if (!parts) {  // reported where expressions are compiled
      instance.dynamic.emplace(pointer, Known::nothing);
      return "";
    }
    std::string text;
    for (const auto& part : *parts) {
      if (part.expression) {
        instance.dynamic.emplace(pointer, is_typed(*parts) ? Known::nothing : Known::text);
        return "";
      }
      text += part.text;
    }
    instance.has_long_text |= text.size() > kLongestMatched;
    return text;
  }
  if (value.type() == JsonType::array) {
    auto list = json::array();
    value.for_each_element(
        [&](JsonView item) { list.push_back(substitute(item, pointer + pointer_step(list.size()), instance)); });
    return list;
  }
  if (value.type() == JsonType::object) {
    auto object = json::object();
    value.for_each_member([&](std::string_view key, JsonView item) {
      object[std::string(key)] = substitute(item, pointer + pointer_step(key), instance);
    });
    return object;
  }
  return json::parse(value.to_string());
}

// Takes keywords out of a schema; a property of that name has an object behind it and stays.
void remove_keywords(json& schema, std::initializer_list<std::string_view> keywords) {
  if (schema.is_object()) {
    for (const auto keyword : keywords) {
      const auto found = schema.find(std::string(keyword));
      if (found != schema.end() && (found->is_string() || keyword == "patternProperties")) schema.erase(found);
    }
  }
  if (!schema.is_structured()) return;
  for (auto& child : schema) remove_keywords(child, keywords);
}

std::vector<std::string> property_names(const json& schema) {
  std::vector<std::string> names;
  if (!schema.contains("properties") || !schema["properties"].is_object()) return names;
  for (const auto& [name, property] : schema["properties"].items()) names.push_back(name);
  return names;
}

bool is_closed(const json& schema) {
  return schema.contains("additionalProperties") && schema["additionalProperties"] == false &&
         !schema.contains("patternProperties");
}

// Unknown and missing parameters have messages of their own.
void check_members(std::string_view operation, const json& schema, const json& value, const std::string& pointer,
                   std::vector<Problem>& problems) {
  const auto known = property_names(schema);
  if (is_closed(schema)) {
    for (const auto& [key, member] : value.items()) {
      if (std::ranges::find(known, key) != known.end()) continue;
      problems.push_back({pointer + pointer_step(key), "unknown_param",
                          fmt::format("{} has no parameter '{}'{}", operation, key, did_you_mean(key, known))});
    }
  }
  if (!schema.contains("required") || !schema["required"].is_array()) return;
  for (const auto& name : schema["required"]) {
    if (!name.is_string() || value.contains(name.get<std::string>())) continue;
    problems.push_back(
        {pointer, "missing_param", fmt::format("{} needs the parameter '{}'", operation, name.get<std::string>())});
  }
}

// The schema of the value at a pointer, as far as plain properties and items lead there.
const json* schema_at(const json& schema, const std::vector<std::string>& context) {
  const json* here = &schema;
  for (std::size_t i = 1; i < context.size(); ++i) {
    const auto step = context[i].substr(1, context[i].size() - 2);
    if (here->contains("properties") && (*here)["properties"].contains(step)) {
      here = &(*here)["properties"][step];
    } else if (here->contains("items") && (*here)["items"].is_object()) {
      here = &(*here)["items"];
    } else {
      return nullptr;
    }
  }
  return here;
}

std::string list_of(const json& values) {
  if (!values.is_array()) return values.is_string() ? values.get<std::string>() : values.dump();
  std::string list;
  for (const auto& value : values) {
    list.append(list.empty() ? "" : ", ").append(value.is_string() ? value.get<std::string>() : value.dump());
  }
  return list;
}

std::string message_of(const std::string& description, const json* schema) {
  if (schema != nullptr && schema->contains("type") && description.starts_with("Value type not permitted")) {
    return fmt::format("this must be of type {}", list_of((*schema)["type"]));
  }
  if (schema != nullptr && schema->contains("enum") && description.starts_with("Failed to match against any enum")) {
    return fmt::format("this must be one of {}", list_of((*schema)["enum"]));
  }
  if (schema != nullptr && schema->contains("pattern") && description.starts_with("Failed to match regex")) {
    return fmt::format("this must match {}", list_of((*schema)["pattern"]));
  }
  auto message = description;
  if (!message.empty()) message[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(message[0])));
  if (message.ends_with('.')) message.pop_back();
  return message;
}

// valijson tells each failure again at every level above.
bool is_echo(std::string_view description) {
  return description.starts_with("Failed to validate item #") || description.starts_with("Cannot validate item #") ||
         description.starts_with("Failed to validate against schema associated with") ||
         description.starts_with("Failed to validate against additional properties schema");
}

bool is_told(std::string_view description, bool at_top, bool closed) {
  if (is_echo(description)) return true;
  if (at_top && description.starts_with("Missing required property")) return true;
  return at_top && closed && description.starts_with("Object contains a property that could not be validated");
}

bool is_type_failure(std::string_view description) { return description.starts_with("Value type not permitted"); }

// Is the failure due to a value that is not known yet: this one, or one below it that a combination judged? Text is at
// least known to be a string where the schema itself, and not a branch of a combination, asks for a type.
bool may_be_dynamic(const Instance& instance, const std::string& pointer, std::string_view description,
                    const json* schema) {
  const bool is_type = is_type_failure(description);
  const bool is_plain_type = is_type && schema != nullptr && schema->contains("type");
  for (const auto& [place, known] : instance.dynamic) {
    if (place == pointer) return known == Known::nothing || !is_plain_type;
    const bool below = place.starts_with(pointer) && (pointer.empty() || place[pointer.size()] == '/');
    if (below && !is_type && !description.starts_with("Missing") && !description.starts_with("Object ")) return true;
  }
  return false;
}

// False: valijson cannot apply this schema to this value (it throws where a format is asked of a number).
bool validate(const json& schema_json, const json& value, valijson::ValidationResults& results) {
  try {
    valijson::Schema schema;
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(schema_json), schema);
    valijson::Validator validator;
    validator.validate(schema, valijson::adapters::NlohmannJsonAdapter(value), &results);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

void report(const json& schema, const Instance& instance, valijson::ValidationResults& results,
            const std::string& pointer, std::vector<Problem>& problems) {
  const bool closed = schema.is_object() && is_closed(schema);
  std::map<std::string, std::string> told;  // by place: of a value of the wrong type nothing else is told
  for (valijson::ValidationResults::Error error; results.popError(error);) {
    std::string place;
    for (std::size_t i = 1; i < error.context.size(); ++i) {
      place += pointer_step(std::string_view(error.context[i]).substr(1, error.context[i].size() - 2));
    }
    const auto* here = schema_at(schema, error.context);
    if (is_told(error.description, place.empty(), closed)) continue;
    if (may_be_dynamic(instance, place, error.description, here)) continue;
    const auto known = told.find(place);
    if (known == told.end()) {
      told.emplace(place, message_of(error.description, here));
    } else if (is_type_failure(error.description)) {
      known->second = message_of(error.description, here);
    }
  }
  for (const auto& [place, message] : told) problems.push_back({pointer + place, "schema", message});
}

}  // namespace

void check_params(std::string_view operation, const std::string& schema_text, const JsonView& params,
                  const std::string& pointer, std::vector<Problem>& problems) {
  auto schema = schema_text.empty() ? json::object() : json::parse(schema_text, nullptr, false);
  Instance instance;
  instance.value = substitute(params, "", instance);
  if (schema.is_object()) check_members(operation, schema, instance.value, pointer, problems);
  auto applied = schema;
  if (instance.has_long_text) remove_keywords(applied, {"pattern", "format", "patternProperties"});
  valijson::ValidationResults results;
  if (!validate(applied, instance.value, results)) {
    results = {};
    remove_keywords(applied, {"format"});
    if (!validate(applied, instance.value, results)) {
      problems.push_back({pointer, "schema", fmt::format("the parameter schema of {} cannot be used", operation)});
      return;
    }
  }
  report(schema, instance, results, pointer, problems);
}

}  // namespace patchbay::flow
