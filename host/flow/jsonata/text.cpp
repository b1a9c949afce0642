#include "flow/jsonata/text.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>

namespace patchbay::flow::jsonata {
namespace {

template <class Integer>
void append_integer(std::string& out, Integer value) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), end);
}

constexpr double kExactIntegers = 9007199254740992.0;  // 2^53

constexpr double kInt64 = 9223372036854775808.0;  // 2^63

bool is_small_integer(double value) { return std::abs(value) <= kExactIntegers && value == std::trunc(value); }

// digits: "14159", exponent of the first one, in ECMA-262's layout.
void append_digits(std::string& out, std::string_view digits, int exponent, bool long_integers) {
  const auto count = static_cast<int>(digits.size());
  if (exponent >= (long_integers ? 21 : 18) || exponent < -6) {
    out += digits[0];
    if (count > 1) out.append(".").append(digits.substr(1));
    out.append(exponent < 0 ? "e-" : "e+");
    append_integer(out, std::abs(exponent));
    return;
  }
  if (exponent < 0) {
    out.append("0.").append(static_cast<std::size_t>(-exponent - 1), '0').append(digits);
    return;
  }
  if (count <= exponent + 1) {
    out.append(digits).append(static_cast<std::size_t>(exponent + 1 - count), '0');
    return;
  }
  const auto whole = static_cast<std::size_t>(exponent + 1);
  out.append(digits.substr(0, whole)).append(".").append(digits.substr(whole));
}

}  // namespace

void append_number(std::string& out, double value, Numbers form) {
  if (!std::isfinite(value)) {
    out += "null";  // as JSON.stringify does
    return;
  }
  if (is_small_integer(value)) return append_integer(out, static_cast<std::int64_t>(value));
  std::array<char, 40> buffer;
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific).ptr;
  const std::string_view text(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
  const auto e = text.find('e');
  int exponent = 0;
  const char* first = text.data() + e + (text[e + 1] == '+' ? 2 : 1);
  std::from_chars(first, end, exponent);
  std::array<char, 32> digits;
  std::size_t count = 0;
  for (const char c : text.substr(0, e)) {
    if (c >= '0' && c <= '9') digits[count++] = c;
  }
  if (value < 0) out += '-';
  append_digits(out, {digits.data(), count}, exponent, form == Numbers::for_text || std::abs(value) < kInt64);
}

double rounded_for_text(double value) {
  if (is_small_integer(value) || !std::isfinite(value)) return value;
  return std::strtod(fmt::format("{:.14e}", value).c_str(), nullptr);
}

void append_escaped(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::size_t start = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, start, i - start);
    start = i + 1;
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        out += "\\u00";
        out += kHex[c >> 4];
        out += kHex[c & 15];
    }
  }
  out.append(text, start);
}

std::size_t code_points(std::string_view text) {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

std::size_t byte_offset(std::string_view text, std::size_t code_point) {
  std::size_t position = 0;
  while (position < text.size()) {
    if ((static_cast<unsigned char>(text[position]) & 0xc0) != 0x80 && code_point-- == 0) return position;
    ++position;
  }
  return text.size();
}

void append_utf8(std::string& out, char32_t code) {
  const auto byte = [&out](char32_t value) { out += static_cast<char>(value); };
  if (code < 0x80) return byte(code);
  if (code < 0x800) {
    byte(0xc0 | (code >> 6));
    return byte(0x80 | (code & 0x3f));
  }
  if (code < 0x10000) {
    byte(0xe0 | (code >> 12));
    byte(0x80 | ((code >> 6) & 0x3f));
    return byte(0x80 | (code & 0x3f));
  }
  byte(0xf0 | (code >> 18));
  byte(0x80 | ((code >> 12) & 0x3f));
  byte(0x80 | ((code >> 6) & 0x3f));
  byte(0x80 | (code & 0x3f));
}

char32_t decode_utf8(std::string_view text, std::size_t& position) {
  const auto first = static_cast<unsigned char>(text[position++]);
  if (first < 0x80) return first;
  const int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
  char32_t code = first & (0x3fU >> more);
  for (int i = 0; i < more && position < text.size(); ++i) {
    code = (code << 6) | (static_cast<unsigned char>(text[position++]) & 0x3fU);
  }
  return code;
}

namespace {

// One walk over a value, in the document or in the arena.
class JsonWriter {
 public:
  JsonWriter(std::string& out, const Layout& layout) : out_(out), layout_(layout), start_(out.size()) {}

  bool write(const Value& value) {
    switch (value.kind()) {
      case Kind::undefined:
      case Kind::null:
        out_ += "null";
        break;
      case Kind::boolean:
        out_ += value.as_boolean() ? "true" : "false";
        break;
      case Kind::number:
        write_number(value);
        break;
      case Kind::string:
        write_string(value.as_string());
        break;
      case Kind::array: {
        const Bracket bracket(*this, '[', ']');
        for (const auto& item : value.as_array().view()) element(item);
        break;
      }
      case Kind::json_array: {
        const Bracket bracket(*this, '[', ']');
        value.view().for_each_element([this](JsonView item) { element(Value::from(item)); });
        break;
      }
      case Kind::object: {
        const Bracket bracket(*this, '{', '}');
        for (const auto& [key, item] : value.as_object().view()) member(key, item);
        break;
      }
      case Kind::json_object: {
        const Bracket bracket(*this, '{', '}');
        value.view().for_each_member([this](std::string_view key, JsonView item) { member(key, Value::from(item)); });
        break;
      }
    }
    return fits();
  }

 private:
  struct Bracket {
    Bracket(JsonWriter& writer, char open, char close) : writer_(writer), close_(close), outer_(writer.first_) {
      writer_.out_ += open;
      writer_.first_ = true;
      ++writer_.depth_;
    }
    ~Bracket() {
      --writer_.depth_;
      if (!writer_.first_) writer_.new_line();
      writer_.out_ += close_;
      writer_.first_ = outer_;
    }
    Bracket(const Bracket&) = delete;
    Bracket& operator=(const Bracket&) = delete;
    JsonWriter& writer_;
    char close_;
    bool outer_;
  };

  [[nodiscard]] bool fits() const { return out_.size() - start_ <= layout_.most_bytes; }

  void new_line() {
    if (layout_.indented) out_.append("\n").append(depth_ * 2, ' ');
  }
  void separate() {
    if (!first_) out_ += ',';
    first_ = false;
    new_line();
  }
  void element(const Value& item) {
    if (!fits()) return;
    separate();
    write(item);
  }
  void member(std::string_view key, const Value& item) {
    if (!fits()) return;
    separate();
    write_string(key);
    out_ += layout_.indented ? ": " : ":";
    write(item);
  }
  void write_number(const Value& value) {
    if (value.is_exact()) return append_integer(out_, value.exact());
    const bool exact = layout_.numbers == Numbers::exact;
    append_number(out_, exact ? value.as_number() : rounded_for_text(value.as_number()), layout_.numbers);
  }
  void write_string(std::string_view text) {
    out_ += '"';
    append_escaped(out_, text);
    out_ += '"';
  }

  std::string& out_;
  const Layout& layout_;
  std::size_t start_;
  std::size_t depth_ = 0;
  bool first_ = true;
};

}  // namespace

bool append_json(std::string& out, const Value& value, const Layout& layout) {
  return JsonWriter(out, layout).write(value);
}

}  // namespace patchbay::flow::jsonata
