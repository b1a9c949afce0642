#include <set>

#include "api_fixture.hpp"

namespace patchbay::api {
namespace {

using nlohmann::json;

class OpenApi : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    const auto response = call("GET", "/openapi.json");
    ASSERT_EQ(response.status, 200);
    document_ = json_of(response);
  }
  const json& resolve(const json& value) const {
    if (!value.contains("$ref")) return value;
    return document_.at(json::json_pointer(value["$ref"].get<std::string>().substr(1)));
  }

  json document_;
};

// What browsers come to is no part of the API.
bool is_described(const Route& route) { return route.pattern.starts_with("/api/"); }

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

TEST_F(OpenApi, DescribesTheRoutesAndNoOthers) {
  EXPECT_EQ(document_.at("openapi"), "3.1.0");
  const std::string base = document_.at("servers")[0].at("url");
  std::set<std::string> described;
  for (const auto& [path, item] : document_.at("paths").items()) {
    for (const auto& [method, operation] : item.items()) described.insert(upper(method) + " " + base + path);
  }
  std::set<std::string> served;
  for (const auto& route : router_->routes()) {
    if (is_described(route)) served.insert(route.method + " " + route.pattern);
  }
  EXPECT_EQ(described, served);
}

TEST_F(OpenApi, NamesTheParametersAndWhoMayAsk) {
  for (const auto& route : router_->routes()) {
    if (!is_described(route)) continue;
    const auto path = route.pattern.substr(std::string_view("/api/v1").size());
    std::string method = route.method;
    for (char& c : method) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const auto& operation = document_.at("paths").at(path).at(method);
    EXPECT_EQ(operation.at("security").empty(), route.access == Access::open) << route.pattern;
    std::set<std::string> described;
    bool has_id = false;
    for (const auto& entry : operation.value("parameters", json::array())) {
      const auto& parameter = resolve(entry);
      if (parameter.at("in") == "query") described.insert(parameter.at("name").get<std::string>());
      has_id = has_id || parameter.at("in") == "path";
    }
    EXPECT_EQ(described, std::set<std::string>(route.query.begin(), route.query.end())) << route.pattern;
    EXPECT_EQ(has_id, path.find("{id}") != std::string::npos) << route.pattern;
  }
}

TEST_F(OpenApi, RefersToNothingThatIsMissing) {
  std::vector<const json*> open{&document_};
  std::size_t references = 0;
  while (!open.empty()) {
    const auto* value = open.back();
    open.pop_back();
    if (value->is_object() && value->contains("$ref")) {
      ++references;
      EXPECT_NO_THROW((void)resolve(*value)) << value->dump();
    }
    if (value->is_structured()) {
      for (const auto& child : *value) open.push_back(&child);
    }
  }
  EXPECT_GT(references, 20U);
}

// The answers have the members that the document promises, and no others.
TEST_F(OpenApi, SaysWhatTheAnswersHold) {
  sign_up("ada@example.org");
  const auto check = [&](const std::string& schema, const json& value) {
    std::set<std::string> promised;
    for (const auto& [name, type] : document_.at("components").at("schemas").at(schema).at("properties").items()) {
      promised.insert(name);
    }
    std::set<std::string> given;
    for (const auto& [name, member] : value.items()) given.insert(name);
    EXPECT_EQ(given, promised) << schema;
  };
  check("CreatedApiKey", json_of(call("POST", "/auth/keys", R"({"name": "ci"})")));
  check("ApiKey", json_of(call("GET", "/auth/keys")).at("data").at(0));
  check("ApiKeyPage", json_of(call("GET", "/auth/keys")));
  const auto flow = json_of(call("POST", "/flows", R"({"name": "one", "nodes": []})"));
  check("Flow", flow);
  check("FlowPage", json_of(call("GET", "/flows")));
  check("Valid", json_of(call("POST", "/flows/validate", R"({"name": "one"})")));
  check("RunSummaryPage", json_of(call("GET", "/runs")));
  check("DeliverySummaryPage", json_of(call("GET", "/deliveries")));
  check("Problem", json_of(call("POST", "/flows/validate", "{}")));
}

}  // namespace
}  // namespace patchbay::api
