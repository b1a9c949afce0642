#include "api/input.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace patchbay::api {
namespace {

using nlohmann::json;

// RFC 6901, section 3.
std::string escaped(std::string_view name) {
  std::string text;
  for (const char c : name) text += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return text;
}

// Members that stand twice are a fault that a parsed value does not show.
struct Duplicates {
  std::vector<std::set<std::string>> open;
  std::string found;
  bool operator()(int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) open.emplace_back();
    if (event == json::parse_event_t::object_end && !open.empty()) open.pop_back();
    if (event == json::parse_event_t::key && !open.empty() && !open.back().insert(parsed.get<std::string>()).second) {
      found = parsed.get<std::string>();
    }
    return true;
  }
};

}  // namespace

struct BodyReader::Impl {
  json body;
  std::set<std::string, std::less<>> asked;
  std::vector<Fault> faults;

  const json* find(std::string_view name, json::value_t type, const char* type_name, bool required) {
    asked.emplace(name);
    const auto at = body.find(std::string(name));
    const auto pointer = "/" + std::string(name);
    if (at == body.end() || at->is_null()) {
      if (required) faults.push_back({pointer, "required", std::string(name) + " is missing"});
      return nullptr;
    }
    if (at->type() != type) {
      faults.push_back({pointer, "type", std::string(name) + " must be " + type_name});
      return nullptr;
    }
    return &*at;
  }
};

BodyReader::BodyReader(const std::string& body) : impl_(std::make_unique<Impl>()) {
  auto duplicates = std::make_shared<Duplicates>();
  impl_->body = json::parse(
      body,
      [duplicates](int depth, json::parse_event_t event, json& parsed) { return (*duplicates)(depth, event, parsed); },
      false);
  if (impl_->body.is_object() && duplicates->found.empty()) return;
  const auto detail = impl_->body.is_discarded()  ? std::string("the body is not JSON")
                      : duplicates->found.empty() ? std::string("the body must be a JSON object")
                                                  : "'" + duplicates->found + "' stands twice";
  impl_->faults.push_back({"", "malformed", detail});
  impl_->body = json::object();
}
BodyReader::~BodyReader() = default;

std::string BodyReader::text(std::string_view name) {
  const auto* value = impl_->find(name, json::value_t::string, "text", true);
  return value == nullptr ? "" : value->get<std::string>();
}

std::optional<std::string> BodyReader::optional_text(std::string_view name) {
  const auto* value = impl_->find(name, json::value_t::string, "text", false);
  if (value == nullptr) return std::nullopt;
  return value->get<std::string>();
}

std::optional<std::vector<std::string>> BodyReader::optional_texts(std::string_view name) {
  const auto* list = impl_->find(name, json::value_t::array, "a list of texts", false);
  if (list == nullptr) return std::nullopt;
  std::vector<std::string> texts;
  for (const auto& item : *list) {
    if (item.is_string()) texts.push_back(item.get<std::string>());
    else fault(fmt::format("/{}/{}", name, &item - &list->front()), "type", std::string(name) + " must hold texts only");
  }
  return texts;
}

Secret BodyReader::secret(std::string_view name) { return Secret(text(name)); }

const json* BodyReader::object(std::string_view name) {
  return impl_->find(name, json::value_t::object, "an object", true);
}

void BodyReader::fault(std::string pointer, std::string code, std::string detail) {
  impl_->faults.push_back({std::move(pointer), std::move(code), std::move(detail)});
}

std::optional<Response> BodyReader::refusal(const std::string& request_id) {
  const bool malformed = !impl_->faults.empty() && impl_->faults[0].code == "malformed";
  if (malformed) impl_->faults.resize(1);  // what is missing in it says nothing
  for (const auto& [name, value] : impl_->body.items()) {
    if (!impl_->asked.contains(name))
      impl_->faults.push_back({"/" + escaped(name), "unknown", "'" + name + "' is not known here"});
  }
  if (impl_->faults.empty()) return std::nullopt;
  return problem(400, "invalid", impl_->faults[0].detail, request_id, impl_->faults);
}

int QueryReader::limit(int standard) {
  const auto given = text("limit");
  if (!given) return standard;
  int value = 0;
  const auto [end, error] = std::from_chars(given->data(), given->data() + given->size(), value);
  if (error != std::errc{} || end != given->data() + given->size() || value < 1 || value > 200) {
    faults_.push_back({"limit", "invalid", "limit must be a number from 1 to 200"});
    return standard;
  }
  return value;
}

std::optional<std::string> QueryReader::text(const std::string& name) {
  const auto found = request_.query.find(name);
  if (found == request_.query.end()) return std::nullopt;
  return found->second;
}

std::optional<Timestamp> QueryReader::time(const std::string& name) {
  const auto given = text(name);
  if (!given) return std::nullopt;
  const auto parsed = parse_rfc3339(*given);
  if (!parsed) faults_.push_back({name, "invalid", "'" + *given + "' is no time such as 2026-11-21T18:00:00Z"});
  return parsed;
}

std::vector<std::string> QueryReader::words(const std::string& name, const std::vector<std::string_view>& allowed) {
  std::vector<std::string> words;
  const auto given = text(name);
  if (!given || given->empty()) return words;
  for (std::size_t at = 0; at <= given->size();) {
    const auto comma = std::min(given->find(',', at), given->size());
    auto word = given->substr(at, comma - at);
    if (std::find(allowed.begin(), allowed.end(), word) == allowed.end()) {
      faults_.push_back({name, "invalid", "'" + word + "' is no " + name});
    }
    words.push_back(std::move(word));
    at = comma + 1;
  }
  return words;
}

std::optional<std::string> QueryReader::word(const std::string& name, const std::vector<std::string_view>& allowed) {
  const auto given = text(name);
  if (!given || given->empty()) return std::nullopt;
  if (std::find(allowed.begin(), allowed.end(), *given) == allowed.end()) {
    faults_.push_back({name, "invalid", "'" + *given + "' is no " + name});
  }
  return given;
}

std::optional<Response> QueryReader::refusal() const {
  if (faults_.empty()) return std::nullopt;
  return problem(400, "invalid", faults_[0].detail, request_.request_id, faults_);
}

}  // namespace patchbay::api
