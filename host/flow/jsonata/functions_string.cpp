#include <clocale>
#include <cwctype>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/bytes.hpp"
#include "flow/jsonata/functions.hpp"
#include "flow/jsonata/text.hpp"

namespace patchbay::flow::jsonata {
namespace {

using Arguments = std::span<const Value>;

Value to_string(Evaluator& evaluator, Arguments a) {
  if (!a[0].defined()) return {};
  return evaluator.to_text(a[0], a[1].is_boolean() && a[1].as_boolean());
}

Value length(Evaluator&, Arguments a) {
  if (!a[0].defined()) return {};
  return Value::number(static_cast<double>(code_points(a[0].as_string())));
}

// Array.prototype.slice's reading of a place: whole, from the end when negative, within the text.
std::size_t slice_place(double place, std::size_t size) {
  place = std::trunc(place);
  const auto most = static_cast<double>(size);
  if (place < 0) place = std::max(0.0, place + most);
  return static_cast<std::size_t>(std::min(place, most));
}

std::string_view slice(std::string_view text, std::size_t from, std::size_t to) {
  if (from >= to) return {};
  const auto start = byte_offset(text, from);
  return text.substr(start, byte_offset(text.substr(start), to - from));
}

Value substring(Evaluator&, Arguments a) {
  if (!a[0].defined()) return {};
  const auto text = a[0].as_string();
  const auto size = code_points(text);
  double start = a[1].defined() ? a[1].as_number() : 0;
  if (static_cast<double>(size) + start < 0) start = 0;
  if (!a[2].defined()) return Value::string(slice(text, slice_place(start, size), size));
  if (a[2].as_number() <= 0) return Value::string({});
  const double end = (start >= 0 ? start : static_cast<double>(size) + start) + a[2].as_number();
  return Value::string(slice(text, slice_place(start, size), slice_place(end, size)));
}

Value substring_before(Evaluator&, Arguments a) {
  if (!a[0].defined() || !a[1].defined()) return a[0];
  const auto text = a[0].as_string();
  return Value::string(text.substr(0, text.find(a[1].as_string())));
}

Value substring_after(Evaluator&, Arguments a) {
  if (!a[0].defined() || !a[1].defined()) return a[0];
  const auto text = a[0].as_string();
  const auto place = text.find(a[1].as_string());
  return place == std::string_view::npos ? a[0] : Value::string(text.substr(place + a[1].as_string().size()));
}

// Simple case mappings of Unicode, independent of the process's locale. (The full ones, as of the German sharp s,
// change the length; glibc does not have them.)
locale_t unicode_locale() {
  static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  return locale;
}

Value change_case(Evaluator& evaluator, const Value& value, wint_t (*change)(wint_t, locale_t)) {
  if (!value.defined() || !evaluator.spend(value.as_string().size())) return {};
  const auto text = value.as_string();
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto code = decode_utf8(text, i);
    append_utf8(out, unicode_locale() == nullptr ? code : static_cast<char32_t>(change(code, unicode_locale())));
  }
  return evaluator.text(out);
}

Value uppercase(Evaluator& evaluator, Arguments a) { return change_case(evaluator, a[0], towupper_l); }
Value lowercase(Evaluator& evaluator, Arguments a) { return change_case(evaluator, a[0], towlower_l); }

// White space at the ends goes, and any within becomes one space.
Value trim(Evaluator& evaluator, Arguments a) {
  if (!a[0].defined()) return {};
  std::string out;
  bool space = false;
  for (const char c : a[0].as_string()) {
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      space = !out.empty();
      continue;
    }
    if (space) out += ' ';
    space = false;
    out += c;
  }
  return evaluator.text(out);
}

Value pad(Evaluator& evaluator, Arguments a) {
  if (!a[0].defined() || !a[1].defined()) return a[0];
  const auto text = a[0].as_string();
  const auto fill = a[2].defined() && !a[2].as_string().empty() ? a[2].as_string() : std::string_view(" ");
  const auto missing = std::trunc(std::abs(a[1].as_number())) - static_cast<double>(code_points(text));
  if (!(missing > 0)) return a[0];
  if (missing * 4 > static_cast<double>(Evaluator::kMostText)) return evaluator.fail("the text is too long");
  const auto count = static_cast<std::size_t>(missing);
  const auto fill_size = code_points(fill);
  if (!evaluator.spend(1 + count)) return {};
  std::string padding;
  for (std::size_t i = 0; i < count / fill_size; ++i) padding += fill;
  padding += slice(fill, 0, count % fill_size);
  return evaluator.text(a[1].as_number() < 0 ? padding.append(text) : std::string(text) + padding);
}

Value contains(Evaluator& evaluator, Arguments a) {
  if (!a[0].defined() || !a[1].defined()) return {};
  if (!evaluator.spend(1 + a[0].as_string().size() / 16)) return {};
  return Value::boolean(a[0].as_string().find(a[1].as_string()) != std::string_view::npos);
}

// How many parts or replacements: any number when there is no limit.
std::optional<std::size_t> limit_of(Evaluator& evaluator, const Value& limit) {
  if (!limit.defined()) return std::numeric_limits<std::size_t>::max();
  if (limit.as_number() < 0) {
    evaluator.fail("a limit must not be negative");
    return std::nullopt;
  }
  return static_cast<std::size_t>(std::min(std::floor(limit.as_number()), 1e9));
}

Value split(Evaluator& evaluator, Arguments a) {
  if (!a[0].defined()) return {};
  const auto most = limit_of(evaluator, a[2]);
  if (!most) return {};
  auto rest = a[0].as_string();
  if (!evaluator.spend(1 + rest.size() / 16)) return {};
  auto* parts = evaluator.make_array();
  if (!a[1].defined()) {
    evaluator.push(*parts, a[0]);
    return Value::array(parts);
  }
  const auto separator = a[1].as_string();
  while (parts->size < *most && !evaluator.failed()) {
    if (separator.empty()) {
      if (rest.empty()) break;
      const auto size = byte_offset(rest, 1);
      evaluator.push(*parts, Value::string(rest.substr(0, size)));
      rest.remove_prefix(size);
      continue;
    }
    const auto place = rest.find(separator);
    evaluator.push(*parts, Value::string(rest.substr(0, place)));
    if (place == std::string_view::npos) break;
    rest.remove_prefix(place + separator.size());
  }
  return Value::array(parts);
}

Value join(Evaluator& evaluator, Arguments a) {
  if (!a[0].defined()) return {};
  const auto separator = a[1].defined() ? a[1].as_string() : std::string_view{};
  std::string out;
  bool first = true;
  for (const auto& item : evaluator.items(a[0])) {
    if (!first) out += separator;
    first = false;
    out += item.as_string();
    if (out.size() > Evaluator::kMostText) return evaluator.fail("the text is too long");
  }
  return evaluator.text(out);
}

Value replace(Evaluator& evaluator, Arguments a) {
  if (!a[0].defined()) return {};
  if (!a[1].defined() || !a[2].defined()) return evaluator.fail("$replace wants a pattern and a replacement");
  const auto pattern = a[1].as_string();
  if (pattern.empty()) return evaluator.fail("$replace cannot look for an empty string");
  const auto most = limit_of(evaluator, a[3]);
  if (!most) return {};
  auto rest = a[0].as_string();
  if (!evaluator.spend(1 + rest.size() / 16)) return {};
  std::string out;
  for (std::size_t count = 0; count < *most; ++count) {
    const auto place = rest.find(pattern);
    if (place == std::string_view::npos) break;
    out.append(rest.substr(0, place)).append(a[2].as_string());
    rest.remove_prefix(place + pattern.size());
    if (out.size() > Evaluator::kMostText) return evaluator.fail("the text is too long");
  }
  return evaluator.text(out.append(rest));
}

Value base64_encode(Evaluator& evaluator, Arguments a) {
  return a[0].defined() ? evaluator.text(to_base64(a[0].as_string())) : Value{};
}

Value base64_decode(Evaluator& evaluator, Arguments a) {
  if (!a[0].defined()) return {};
  const auto bytes = from_base64(a[0].as_string());
  if (!bytes) return evaluator.fail("$base64decode was given what is not base64");
  if (!is_valid_utf8(*bytes)) return evaluator.fail("$base64decode found bytes that are no UTF-8 text");
  return evaluator.text(*bytes);
}

// ECMA-262, encodeURIComponent: all but letters, digits and these become %XX, byte by byte.
Value encode_url_component(Evaluator& evaluator, Arguments a) {
  if (!a[0].defined()) return {};
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  static constexpr std::string_view kPlain = "-_.!~*'()";
  std::string out;
  for (const char c : a[0].as_string()) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || kPlain.find(c) != std::string_view::npos) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return evaluator.text(out);
}

constexpr Parameter kText{kString};
constexpr Parameter kContextText{kString, false, true};
constexpr Parameter kOptionalText{kString, true};
constexpr Parameter kCount{kNumber};
constexpr Parameter kOptionalCount{kNumber, true};
constexpr Parameter kTexts{kArray, false, false, true, kString};

constexpr std::array kFunctions{
    Function{"string", {Parameter{kAny, false, true}, Parameter{kBoolean, true}}, to_string},
    Function{"length", {kContextText}, length},
    Function{"substring", {kContextText, kCount, kOptionalCount}, substring},
    Function{"substringBefore", {kContextText, kText}, substring_before},
    Function{"substringAfter", {kContextText, kText}, substring_after},
    Function{"uppercase", {kContextText}, uppercase},
    Function{"lowercase", {kContextText}, lowercase},
    Function{"trim", {kContextText}, trim},
    Function{"pad", {kContextText, kCount, kOptionalText}, pad},
    Function{"contains", {kContextText, kText}, contains},
    Function{"split", {kContextText, kText, kOptionalCount}, split},
    Function{"join", {kTexts, kOptionalText}, join},
    Function{"replace", {kContextText, kText, kText, kOptionalCount}, replace},
    Function{"base64encode", {kContextText}, base64_encode},
    Function{"base64decode", {kContextText}, base64_decode},
    Function{"encodeUrlComponent", {kContextText}, encode_url_component},
};

}  // namespace

std::span<const Function> string_functions() { return kFunctions; }

}  // namespace patchbay::flow::jsonata
