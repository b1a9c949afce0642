#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.hpp"

namespace patchbay {

// JSON on the hot path: parsed once (simdjson), read in place, never changed. nlohmann/json is for the rest.

class JsonDocument;

enum class JsonType : std::uint8_t { null, boolean, integer, number, string, array, object };

// One value of a JsonDocument, which must outlive it. Two words, copied freely. A default-constructed one is absent.
class JsonView {
 public:
  JsonView() = default;

  [[nodiscard]] bool exists() const { return present_; }
  explicit operator bool() const { return present_; }
  [[nodiscard]] JsonType type() const;  // null when absent

  [[nodiscard]] bool boolean() const;             // false unless a boolean
  [[nodiscard]] std::int64_t integer() const;     // 0 unless an integer that fits
  [[nodiscard]] double number() const;            // 0 unless an integer or a number
  [[nodiscard]] std::string_view string() const;  // decoded; empty unless a string

  [[nodiscard]] std::size_t size() const;                   // of an array or object, else 0
  [[nodiscard]] JsonView operator[](std::string_view key) const;  // of an object; absent when there is none
  [[nodiscard]] JsonView operator[](std::size_t index) const;     // of an array, linear; absent past the end
  [[nodiscard]] JsonView at_pointer(std::string_view pointer) const;  // RFC 6901; absent when nothing is there

  // Calls visit(JsonView) for each element of an array, visit(std::string_view key, JsonView) for each member of an
  // object, in their order in the text.
  template <class Visit>
  void for_each_element(Visit&& visit) const {
    each_element([](void* context, JsonView value) { (*static_cast<std::remove_reference_t<Visit>*>(context))(value); },
                 &visit);
  }
  template <class Visit>
  void for_each_member(Visit&& visit) const {
    each_member([](void* context, std::string_view key,
                   JsonView value) { (*static_cast<std::remove_reference_t<Visit>*>(context))(key, value); },
                &visit);
  }

  // Appends the value as JSON text, without white space. Absent: "null".
  void append_to(std::string& text) const;
  [[nodiscard]] std::string to_string() const;

 private:
  friend class JsonDocument;
  friend struct JsonAccess;
  void each_element(void (*visit)(void*, JsonView), void* context) const;
  void each_member(void (*visit)(void*, std::string_view, JsonView), void* context) const;

  alignas(8) std::array<std::byte, 16> raw_{};  // simdjson::dom::element
  bool present_ = false;
};

// A parsed JSON text. Immutable, so any thread may read it; kept by shared_ptr where several hold it.
class JsonDocument {
 public:
  // Errc::invalid with the place of the fault. Needs no padding behind text and does not refer to it afterwards.
  [[nodiscard]] static Result<std::shared_ptr<const JsonDocument>> parse(std::string_view text);

  ~JsonDocument();
  JsonDocument(const JsonDocument&) = delete;
  JsonDocument& operator=(const JsonDocument&) = delete;

  [[nodiscard]] JsonView root() const { return root_; }

 private:
  JsonDocument();
  struct Impl;
  std::unique_ptr<Impl> impl_;
  JsonView root_;
};

// Appends text as a JSON string with its quotes (RFC 8259, section 7). Bytes that are no UTF-8 become U+FFFD.
void append_json_quoted(std::string& out, std::string_view text);
[[nodiscard]] std::string json_quote(std::string_view text);

[[nodiscard]] bool is_valid_utf8(std::string_view text);

}  // namespace patchbay
