#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "flow/expression.hpp"

namespace patchbay::flow {

// A problem of a flow, where it stands.
struct Problem {
  std::string pointer;  // RFC 6901 into the flow's JSON: "/nodes/2/params/content"
  std::string code;     // "unknown_trigger", "unknown_node", "expression", "schema", "cycle", ...
  std::string message;
};

// A JSON value with {{ expressions }} in its strings, compiled. Rendering appends JSON text; nothing is parsed again.
// A string that is one expression and nothing else keeps the value's type; otherwise the results are joined as text.
// Immutable, any thread.
class Template {
 public:
  // json: the value as text. pointer: where it stands, for problems, which are appended to `problems`.
  [[nodiscard]] static Template compile(std::string_view json, std::span<const std::string> names,
                                        const std::string& pointer, std::vector<Problem>& problems);
  Template();
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  [[nodiscard]] const std::vector<std::size_t>& uses() const;
  // True when a whole value is an expression, so that its type is known only when it runs.
  [[nodiscard]] bool has_typed_expression() const;

  // Errc::invalid: an expression failed, or one that is a whole value is undefined (message names the place).
  [[nodiscard]] Result<> render(const Scope& scope, std::string& out) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace patchbay::flow
