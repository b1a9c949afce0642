#include "flow/template.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "flow/jsonata/text.hpp"
#include "flow/template_text.hpp"

namespace patchbay::flow {
namespace {

constexpr std::size_t kMostRendered = std::size_t{16} << 20;  // bytes: many expressions may each be long

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

}  // namespace

struct Template::Impl {
  struct Part {
    std::string before;  // constant JSON text
    Expression expression;
    bool typed;
    std::string pointer;  // for errors
    std::string text;
  };
  std::vector<Part> parts;
  std::string end;
  std::vector<std::size_t> uses;
  bool has_typed = false;
};

namespace {

// Walks the value and cuts it into constant text and expressions.
class TemplateCompiler {
 public:
  TemplateCompiler(std::span<const std::string> names, std::vector<Problem>& problems)
      : names_(names), problems_(problems) {}

  template <class Add>
  void walk(const JsonView& value, const std::string& pointer, Add&& add) {
    switch (value.type()) {
      case JsonType::string:
        return string(value.string(), pointer, add);
      case JsonType::array: {
        constant += '[';
        std::size_t index = 0;
        value.for_each_element([&](JsonView item) {
          if (index > 0) constant += ',';
          walk(item, pointer + pointer_step(index++), add);
        });
        constant += ']';
        return;
      }
      case JsonType::object: {
        constant += '{';
        bool first = true;
        value.for_each_member([&](std::string_view key, JsonView item) {
          if (!first) constant += ',';
          first = false;
          append_json_quoted(constant, key);
          constant += ':';
          walk(item, pointer + pointer_step(key), add);
        });
        constant += '}';
        return;
      }
      default:
        value.append_to(constant);
    }
  }

  std::string constant;  // since the last expression

 private:
  template <class Add>
  void string(std::string_view text, const std::string& pointer, Add&& add) {
    const auto parts = split_text(text);
    if (!parts) return report(pointer, parts.error().message, parts.error().position);
    const bool typed = is_typed(*parts);
    if (!typed) constant += '"';
    for (const auto& part : *parts) {
      if (!part.expression) {
        jsonata::append_escaped(constant, part.text);
        continue;
      }
      auto compiled = Expression::compile(part.text, names_);
      if (!compiled) {
        report(pointer, compiled.error().message, part.position + compiled.error().position);
        continue;
      }
      add(std::move(*compiled), typed, pointer, part.text);
    }
    if (!typed) constant += '"';
  }

  void report(const std::string& pointer, const std::string& message, std::size_t position) {
    problems_.push_back({pointer, "expression", fmt::format("{} (byte {})", message, position)});
  }

  std::span<const std::string> names_;
  std::vector<Problem>& problems_;
};

}  // namespace

Template::Template() = default;
Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

Template Template::compile(std::string_view json, std::span<const std::string> names, const std::string& pointer,
                           std::vector<Problem>& problems) {
  Template result;
  result.impl_ = std::make_unique<Impl>();
  auto& impl = *result.impl_;
  const auto document = JsonDocument::parse(json);
  if (!document) {
    problems.push_back({pointer, "json", document.error().message});
    return result;
  }
  TemplateCompiler compiler(names, problems);
  compiler.walk((*document)->root(), pointer,
                [&](Expression expression, bool typed, const std::string& place, const std::string& text) {
                  for (const auto use : expression.uses()) {
                    if (std::ranges::find(impl.uses, use) == impl.uses.end()) impl.uses.push_back(use);
                  }
                  impl.has_typed |= typed;
                  impl.parts.push_back({std::exchange(compiler.constant, {}), std::move(expression), typed, place,
                                        std::string(trimmed(text))});
                });
  impl.end = std::move(compiler.constant);
  return result;
}

const std::vector<std::size_t>& Template::uses() const {
  static const std::vector<std::size_t> kNone;
  return impl_ ? impl_->uses : kNone;
}

bool Template::has_typed_expression() const { return impl_ && impl_->has_typed; }

Result<> Template::render(const Scope& whole, std::string& out) const {
  if (!impl_) {
    out += "null";
    return {};
  }
  // All expressions of a template share one budget: a long one must not hold up the loop for long.
  auto scope = whole;
  std::size_t work = kWork;
  if (scope.work == nullptr) scope.work = &work;
  const auto start = out.size();
  for (const auto& part : impl_->parts) {
    out += part.before;
    if (out.size() - start > kMostRendered) {
      return fail(Errc::invalid, fmt::format("{}: the parameters are longer than 16 MiB", part.pointer));
    }
    if (!part.typed) {
      if (auto appended = part.expression.append_string_content(scope, out); !appended) {
        return fail(appended.error().code, fmt::format("{}: {}", part.pointer, appended.error().message));
      }
      continue;
    }
    const auto appended = part.expression.append_json(scope, out);
    if (!appended) return fail(appended.error().code, fmt::format("{}: {}", part.pointer, appended.error().message));
    if (!*appended) return fail(Errc::invalid, fmt::format("{}: {} is undefined", part.pointer, part.text));
  }
  out += impl_->end;
  return {};
}

}  // namespace patchbay::flow
