#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "flow/jsonata/value.hpp"

namespace patchbay::flow::jsonata {

// --- numbers, as JavaScript prints them (ECMA-262, Number::toString): 1e21 is "1e+21". As JSON, whole numbers beyond
// 64 bits have an exponent too, for parsers refuse them otherwise; as text they have all their digits up to there.
enum class Numbers { exact, for_text };
void append_number(std::string& out, double value, Numbers form);
// As $string and & do: at most 15 significant digits where it is no integer, so that 0.1 + 0.2 reads 0.3.
[[nodiscard]] double rounded_for_text(double value);

// --- text in a JSON string: text without the quotes around it, escaped. text must be UTF-8.
void append_escaped(std::string& out, std::string_view text);

// --- UTF-8. Positions and lengths that users see count code points, as JSONata does.
[[nodiscard]] std::size_t code_points(std::string_view text);
[[nodiscard]] std::size_t byte_offset(std::string_view text, std::size_t code_point);  // text.size() past the end
void append_utf8(std::string& out, char32_t code_point);
[[nodiscard]] char32_t decode_utf8(std::string_view text, std::size_t& position);  // and moves behind it

// --- values as JSON
struct Layout {
  Numbers numbers = Numbers::exact;
  bool indented = false;                          // two spaces a level
  std::size_t most_bytes = std::size_t{4} << 20;  // of what is appended
};
// Appends a defined value as JSON. False: it would be longer than layout.most_bytes; out then holds a part of it.
[[nodiscard]] bool append_json(std::string& out, const Value& value, const Layout& layout = {});

}  // namespace patchbay::flow::jsonata
