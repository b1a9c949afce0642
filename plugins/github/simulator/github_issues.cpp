#include <algorithm>
#include <charconv>

#include "github/simulator/github_simulator.hpp"

namespace patchbay::simulators {

using github::Issue;
using nlohmann::json;

namespace {

constexpr const char* kPage = "/issues/issues#create-an-issue";
constexpr std::size_t kTitleLimit = 256;    // characters
constexpr std::size_t kBodyLimit = 65'536;  // characters

json fault(const char* field, const char* code, const std::string& message = {}) {
  json entry{{"resource", "Issue"}, {"field", field}, {"code", code}};
  if (!message.empty()) entry["message"] = message;
  return entry;
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

int number_in(const std::string& text, int otherwise) {
  int value = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// Labels may be names or objects with a name.
std::vector<std::string> names_in(const json& body, const char* member) {
  std::vector<std::string> names;
  for (const auto& item : body.value(member, json::array())) {
    names.push_back(item.is_object() ? item.value("name", "") : item.get<std::string>());
  }
  return names;
}

json faults_of(const json& body) {
  auto faults = json::array();
  const auto title = body.find("title");
  if (title == body.end() || title->is_null()) {
    faults.push_back(fault("title", "missing_field"));
  } else if (title->is_string() && title->get<std::string>().empty()) {
    faults.push_back(fault("title", "missing_field"));
  } else if (title->is_string() && characters(title->get<std::string>()) > kTitleLimit) {
    faults.push_back(fault("title", "custom", "title is too long (maximum is 256 characters)"));
  }
  const auto text = body.find("body");
  if (text != body.end() && text->is_string() && characters(text->get<std::string>()) > kBodyLimit) {
    faults.push_back(fault("body", "custom", "body is too long (maximum is 65536 characters)"));
  }
  return faults;
}

}  // namespace

Response GithubSimulator::route_issues(const Request& request, const github::Repository& repository) {
  if (request.method == "POST") return create_issue(request, repository);
  if (request.method == "GET") return list_issues(request, repository);
  return json_response(404, github::error_json(404, "Not Found"));
}

Response GithubSimulator::create_issue(const Request& request, const github::Repository& repository) {
  const auto body = parse_body(request);
  if (!body.is_object()) return json_response(400, github::error_json(400, "Problems parsing JSON"));
  const auto faults = faults_of(body);
  if (!faults.empty()) return json_response(422, github::validation_json(faults, kPage));
  Issue issue{.repository = repository, .created = settings_.clock->now()};
  try {
    const auto& title = body.at("title");
    issue.title = title.is_string() ? title.get<std::string>() : title.dump();
    issue.body = body.contains("body") && body["body"].is_string() ? body["body"].get<std::string>() : "";
    issue.labels = names_in(body, "labels");
    issue.assignees = names_in(body, "assignees");
  } catch (const json::exception&) {
    return json_response(422, github::error_json(422, "Invalid request.", kPage));
  }
  issue.id = ++last_id_;
  issue.number = ++last_number_[repository.full_name()];
  issues_.push_back(issue);
  const auto shape = github::issue_json(issue);
  return json_response(201, shape, {{"Location", shape.at("url")}});
}

// Newest first, as GitHub does unless asked otherwise; all are open.
Response GithubSimulator::list_issues(const Request& request, const github::Repository& repository) const {
  const int per_page = std::clamp(number_in(request.parameter("per_page"), 30), 1, 100);
  const int page = std::max(number_in(request.parameter("page"), 1), 1);
  const auto since = parse_rfc3339(request.parameter("since"));
  const auto creator = request.parameter("creator");
  std::vector<const Issue*> matching;
  if (request.parameter("state", "open") != "closed" && (creator.empty() || creator == github::kLogin)) {
    for (const auto& issue : issues_) {
      if (issue.repository.full_name() == repository.full_name() && (!since || issue.created >= *since)) {
        matching.push_back(&issue);
      }
    }
  }
  if (request.parameter("direction", "desc") == "desc") std::ranges::reverse(matching);
  const auto begin = std::min(matching.size(), static_cast<std::size_t>(per_page) * static_cast<std::size_t>(page - 1));
  const auto end = std::min(matching.size(), begin + static_cast<std::size_t>(per_page));
  auto list = json::array();
  for (auto i = begin; i < end; ++i) list.push_back(github::issue_json(*matching[i]));
  support::Headers headers;
  if (end < matching.size()) {
    headers.emplace_back("Link", "<" + base_url() + request.path + "?per_page=" + std::to_string(per_page) +
                                     "&page=" + std::to_string(page + 1) + ">; rel=\"next\"");
  }
  return json_response(200, list, std::move(headers));
}

}  // namespace patchbay::simulators
