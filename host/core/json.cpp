#include "core/json.hpp"

#include <bit>

#include <fmt/format.h>
#include <simdjson.h>

namespace patchbay {

// The one place that knows what a JsonView holds.
struct JsonAccess {
  using Element = simdjson::dom::element;
  static_assert(sizeof(Element) == 16 && std::is_trivially_copyable_v<Element>);

  static JsonView wrap(const Element& element) {
    JsonView view;
    view.raw_ = std::bit_cast<std::array<std::byte, 16>>(element);
    view.present_ = true;
    return view;
  }
  static JsonView wrap(const simdjson::simdjson_result<Element>& result) {
    Element element;
    if (result.get(element) != simdjson::SUCCESS) return {};
    return wrap(element);
  }
  static Element unwrap(const JsonView& view) { return std::bit_cast<Element>(view.raw_); }
};

namespace {

using Access = JsonAccess;

void append_number(std::string& out, double value) { fmt::format_to(std::back_inserter(out), "{}", value); }

void append(std::string& out, const simdjson::dom::element& element) {
  using simdjson::dom::element_type;
  switch (element.type()) {
    case element_type::NULL_VALUE: out += "null"; return;
    case element_type::BOOL: out += bool(element) ? "true" : "false"; return;
    case element_type::INT64: fmt::format_to(std::back_inserter(out), "{}", std::int64_t(element)); return;
    case element_type::UINT64: fmt::format_to(std::back_inserter(out), "{}", std::uint64_t(element)); return;
    case element_type::DOUBLE: append_number(out, double(element)); return;
    case element_type::STRING: append_json_quoted(out, std::string_view(element)); return;
    case element_type::ARRAY: {
      out += '[';
      bool first = true;
      for (const auto item : simdjson::dom::array(element)) {
        if (!first) out += ',';
        first = false;
        append(out, item);
      }
      out += ']';
      return;
    }
    case element_type::OBJECT: {
      out += '{';
      bool first = true;
      for (const auto [key, value] : simdjson::dom::object(element)) {
        if (!first) out += ',';
        first = false;
        append_json_quoted(out, key);
        out += ':';
        append(out, value);
      }
      out += '}';
      return;
    }
  }
}

}  // namespace

JsonType JsonView::type() const {
  using simdjson::dom::element_type;
  if (!present_) return JsonType::null;
  switch (Access::unwrap(*this).type()) {
    case element_type::NULL_VALUE: return JsonType::null;
    case element_type::BOOL: return JsonType::boolean;
    case element_type::INT64: return JsonType::integer;
    case element_type::UINT64:  // beyond int64: a number that int64 cannot hold
    case element_type::DOUBLE: return JsonType::number;
    case element_type::STRING: return JsonType::string;
    case element_type::ARRAY: return JsonType::array;
    case element_type::OBJECT: return JsonType::object;
  }
  return JsonType::null;
}

bool JsonView::boolean() const {
  bool value = false;
  return present_ && Access::unwrap(*this).get(value) == simdjson::SUCCESS && value;
}

std::int64_t JsonView::integer() const {
  std::int64_t value = 0;
  return present_ && Access::unwrap(*this).get(value) == simdjson::SUCCESS ? value : 0;
}

double JsonView::number() const {
  double value = 0;
  return present_ && Access::unwrap(*this).get(value) == simdjson::SUCCESS ? value : 0;
}

std::string_view JsonView::string() const {
  std::string_view value;
  return present_ && Access::unwrap(*this).get(value) == simdjson::SUCCESS ? value : std::string_view{};
}

std::size_t JsonView::size() const {
  if (!present_) return 0;
  const auto element = Access::unwrap(*this);
  simdjson::dom::array array;
  if (element.get(array) == simdjson::SUCCESS) return array.size();
  simdjson::dom::object object;
  if (element.get(object) == simdjson::SUCCESS) return object.size();
  return 0;
}

JsonView JsonView::operator[](std::string_view key) const {
  simdjson::dom::object object;
  if (!present_ || Access::unwrap(*this).get(object) != simdjson::SUCCESS) return {};
  return Access::wrap(object.at_key(key));
}

JsonView JsonView::operator[](std::size_t index) const {
  simdjson::dom::array array;
  if (!present_ || Access::unwrap(*this).get(array) != simdjson::SUCCESS) return {};
  return Access::wrap(array.at(index));
}

JsonView JsonView::at_pointer(std::string_view pointer) const {
  if (!present_) return {};
  if (pointer.empty()) return *this;
  return Access::wrap(Access::unwrap(*this).at_pointer(pointer));
}

void JsonView::each_element(void (*visit)(void*, JsonView), void* context) const {
  simdjson::dom::array array;
  if (!present_ || Access::unwrap(*this).get(array) != simdjson::SUCCESS) return;
  for (const auto item : array) visit(context, Access::wrap(item));
}

void JsonView::each_member(void (*visit)(void*, std::string_view, JsonView), void* context) const {
  simdjson::dom::object object;
  if (!present_ || Access::unwrap(*this).get(object) != simdjson::SUCCESS) return;
  for (const auto [key, value] : object) visit(context, key, Access::wrap(value));
}

void JsonView::append_to(std::string& text) const {
  if (!present_) {
    text += "null";
    return;
  }
  append(text, Access::unwrap(*this));
}

std::string JsonView::to_string() const {
  std::string text;
  append_to(text);
  return text;
}

struct JsonDocument::Impl {
  simdjson::dom::document document;
};

JsonDocument::JsonDocument() : impl_(std::make_unique<Impl>()) {}
JsonDocument::~JsonDocument() = default;

Result<std::shared_ptr<const JsonDocument>> JsonDocument::parse(std::string_view text) {
  // A parser holds scratch space that grows with the largest text; one a thread is enough, for it is not re-entered.
  thread_local simdjson::dom::parser parser;
  std::shared_ptr<JsonDocument> document(new JsonDocument);
  const auto result = parser.parse_into_document(document->impl_->document, text.data(), text.size());
  if (result.error() != simdjson::SUCCESS) {
    return fail(Errc::invalid, fmt::format("not JSON: {}", simdjson::error_message(result.error())));
  }
  document->root_ = JsonAccess::wrap(result.value_unsafe());
  return document;
}

bool is_valid_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

namespace {

// Length of the UTF-8 character at the front, 0 when it is none (RFC 3629).
std::size_t utf8_length(std::string_view text) {
  for (std::size_t length = 1; length <= 4 && length <= text.size(); ++length) {
    if (is_valid_utf8(text.substr(0, length))) return length;
  }
  return 0;
}

void append_quoted_valid(std::string& out, std::string_view text) {
  std::size_t start = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, start, i - start);
    start = i + 1;
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default: fmt::format_to(std::back_inserter(out), "\\u{:04x}", c);
    }
  }
  out.append(text, start);
}

}  // namespace

void append_json_quoted(std::string& out, std::string_view text) {
  out += '"';
  if (is_valid_utf8(text)) {
    append_quoted_valid(out, text);
  } else {
    while (!text.empty()) {
      const auto length = utf8_length(text);
      if (length == 0) {
        out += "\xef\xbf\xbd";
        text.remove_prefix(1);
      } else {
        append_quoted_valid(out, text.substr(0, length));
        text.remove_prefix(length);
      }
    }
  }
  out += '"';
}

std::string json_quote(std::string_view text) {
  std::string out;
  append_json_quoted(out, text);
  return out;
}

}  // namespace patchbay
