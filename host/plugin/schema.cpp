#include "plugin/schema.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

namespace patchbay::plugin {
namespace {

using valijson::adapters::NlohmannJsonAdapter;

// "[\"a\"][0]", as valijson says it, is "/a/0".
std::string to_pointer(const std::vector<std::string>& context) {
  std::string pointer;
  for (const auto& part : context) {
    if (part == "<root>") continue;
    auto name = part;
    if (name.size() >= 2 && name.front() == '[') name = name.substr(1, name.size() - 2);
    if (name.size() >= 2 && name.front() == '"') name = name.substr(1, name.size() - 2);
    pointer += "/" + name;
  }
  return pointer;
}

}  // namespace

struct Schema::Impl {
  valijson::Schema schema;
};

Schema::Schema(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Schema::~Schema() = default;
Schema::Schema(Schema&&) noexcept = default;

Result<Schema> Schema::compile(std::string_view schema_json) {
  const auto document = nlohmann::json::parse(schema_json, nullptr, false);
  if (document.is_discarded()) return fail(Errc::invalid, "the schema is not JSON");
  auto impl = std::make_unique<Impl>();
  try {
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    parser.populateSchema(NlohmannJsonAdapter(document), impl->schema);
  } catch (const std::exception& error) {
    return fail(Errc::invalid, fmt::format("not a JSON Schema: {}", error.what()));
  }
  return Schema(std::move(impl));
}

std::vector<std::string> Schema::check(std::string_view json) const {
  const auto document = nlohmann::json::parse(json, nullptr, false);
  if (document.is_discarded()) return {"not JSON"};
  valijson::Validator validator;
  valijson::ValidationResults results;
  std::vector<std::string> faults;
  try {
    if (validator.validate(impl_->schema, NlohmannJsonAdapter(document), &results)) return faults;
  } catch (const std::exception& error) {  // a pattern that std::regex does not take
    return {error.what()};
  }
  valijson::ValidationResults::Error error;
  while (results.popError(error)) {
    faults.push_back(fmt::format("{}: {}", to_pointer(error.context), error.description));
  }
  return faults;
}

Result<> check_schema(std::string_view schema_json) {
  auto schema = Schema::compile(schema_json);
  if (!schema) return std::unexpected(schema.error());
  return {};
}

}  // namespace patchbay::plugin
