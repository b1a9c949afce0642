#include "flow/jsonata/value.hpp"

namespace patchbay::flow::jsonata {

Value Value::from(const JsonView& view) {
  if (!view) return {};
  switch (view.type()) {
    case JsonType::null:
      return null();
    case JsonType::boolean:
      return boolean(view.boolean());
    case JsonType::integer: {
      auto result = number(view.number());
      result.number_.exact = view.integer();
      result.number_.is_exact = true;
      return result;
    }
    case JsonType::number:
      return number(view.number());
    case JsonType::string:
      return string(view.string());
    case JsonType::array:
    case JsonType::object: {
      Value result(view.type() == JsonType::array ? Kind::json_array : Kind::json_object);
      result.view_ = view;
      return result;
    }
  }
  return {};
}

std::string_view Arena::copy(std::string_view text) {
  if (text.empty()) return {};
  auto* bytes = static_cast<char*>(allocate(text.size(), 1));
  std::memcpy(bytes, text.data(), text.size());
  return {bytes, text.size()};
}

}  // namespace patchbay::flow::jsonata
