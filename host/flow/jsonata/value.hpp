#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <span>
#include <string>
#include <string_view>

#include "core/json.hpp"

namespace patchbay::flow::jsonata {

struct Array;
struct Object;

// json_array and json_object stand in the document; array and object were made by the expression, in the arena.
enum class Kind : std::uint8_t { undefined, null, boolean, number, string, json_array, json_object, array, object };

// What an expression works on. Refers to the document, the expression's text or the arena, so it is copied freely and
// outlives none of them. All strings are valid UTF-8.
class Value {
 public:
  Value() : boolean_(false) {}
  static Value null() { return Value(Kind::null); }
  static Value boolean(bool value) {
    Value result(Kind::boolean);
    result.boolean_ = value;
    return result;
  }
  static Value number(double value) {
    Value result(Kind::number);
    result.number_ = {value, 0, false};
    return result;
  }
  static Value string(std::string_view text) {
    Value result(Kind::string);
    result.string_ = {text.data(), text.size()};
    return result;
  }
  static Value array(Array* items) {
    Value result(Kind::array);
    result.array_ = items;
    return result;
  }
  static Value object(Object* members) {
    Value result(Kind::object);
    result.object_ = members;
    return result;
  }
  static Value from(const JsonView& view);  // absent: undefined

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] bool defined() const { return kind_ != Kind::undefined; }
  [[nodiscard]] bool is_null() const { return kind_ == Kind::null; }
  [[nodiscard]] bool is_boolean() const { return kind_ == Kind::boolean; }
  [[nodiscard]] bool is_number() const { return kind_ == Kind::number; }
  [[nodiscard]] bool is_string() const { return kind_ == Kind::string; }
  [[nodiscard]] bool is_array() const { return kind_ == Kind::array || kind_ == Kind::json_array; }
  [[nodiscard]] bool is_object() const { return kind_ == Kind::object || kind_ == Kind::json_object; }

  [[nodiscard]] bool as_boolean() const { return boolean_; }
  [[nodiscard]] double as_number() const { return number_.value; }
  [[nodiscard]] std::string_view as_string() const { return {string_.data, string_.size}; }
  [[nodiscard]] Array& as_array() const { return *array_; }
  [[nodiscard]] Object& as_object() const { return *object_; }
  [[nodiscard]] const JsonView& view() const { return view_; }

  // An integer of the document keeps its digits where a double would round: ids above 2^53 pass through unharmed.
  [[nodiscard]] bool is_exact() const { return kind_ == Kind::number && number_.is_exact; }
  [[nodiscard]] std::int64_t exact() const { return number_.exact; }

 private:
  explicit Value(Kind kind) : kind_(kind), boolean_(false) {}

  struct Number {
    double value;
    std::int64_t exact;
    bool is_exact;
  };
  struct Text {
    const char* data;
    std::size_t size;
  };
  Kind kind_ = Kind::undefined;
  union {
    bool boolean_;
    Number number_;
    Text string_;
    JsonView view_;
    Array* array_;
    Object* object_;
  };
};
static_assert(std::is_trivially_copyable_v<Value>);

// The memory of one evaluation: the first 2 KiB are on the stack, and nothing is freed before the end.
class Arena {
 public:
  Arena() : resource_(first_, sizeof first_) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  [[nodiscard]] void* allocate(std::size_t bytes, std::size_t alignment = alignof(std::max_align_t)) {
    used_ += bytes;
    return resource_.allocate(bytes, alignment);
  }
  [[nodiscard]] std::size_t used() const { return used_; }  // bytes given out
  template <class T>
  [[nodiscard]] T* make() {
    return new (allocate(sizeof(T), alignof(T))) T();
  }
  [[nodiscard]] std::string_view copy(std::string_view text);

 private:
  alignas(std::max_align_t) std::byte first_[2048];
  std::pmr::monotonic_buffer_resource resource_;
  std::size_t used_ = 0;
};

// A list in the arena that grows at its end.
template <class T>
struct List {
  T* items = nullptr;
  std::size_t size = 0;
  std::size_t capacity = 0;

  void push(Arena& arena, const T& item) {
    if (size == capacity) {
      const auto wider = capacity == 0 ? 4 : capacity * 2;
      auto* moved = static_cast<T*>(arena.allocate(wider * sizeof(T), alignof(T)));
      if (size > 0) std::memcpy(static_cast<void*>(moved), items, size * sizeof(T));
      items = moved;
      capacity = wider;
    }
    new (items + size++) T(item);
  }
  [[nodiscard]] std::span<const T> view() const { return {items, size}; }
};

// JSONata tells arrays that stand for "all values found" (sequences: one of them is the value itself, none is
// undefined) from arrays that are values.
struct Array : List<Value> {
  bool sequence = false;
  bool keep_singleton = false;  // a sequence of one stays an array: path[]
  bool constructed = false;     // [a, b] as a step: is not flattened into the path's result
};

struct Member {
  std::string_view key;
  Value value;
};
struct Object : List<Member> {
  [[nodiscard]] const Value* find(std::string_view key) const {
    for (const auto& member : view()) {
      if (member.key == key) return &member.value;
    }
    return nullptr;
  }
};

}  // namespace patchbay::flow::jsonata
