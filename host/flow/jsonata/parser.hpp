#pragma once

#include <expected>
#include <string_view>

#include "flow/expression.hpp"
#include "flow/jsonata/ast.hpp"

namespace patchbay::flow::jsonata {

inline constexpr std::size_t kLongestExpression = 16 << 10;
inline constexpr unsigned kDeepestExpression = 250;  // levels of the tree: what bounds the evaluator's stack

// The tree of an expression; functions are bound, names are not yet. What JSONata has and this does not is an error
// that says "not supported yet". Precedence and the shape of the tree are those of JSONata's reference parser.
[[nodiscard]] std::expected<NodePointer, ExpressionError> parse(std::string_view text);

// Binds the names that stand for nodes' outputs: heads of paths that are not inside of another path's step. `uses`
// receives their places in `names`.
[[nodiscard]] std::expected<void, ExpressionError> resolve(Node& root, std::span<const std::string> names,
                                                           std::vector<std::size_t>& uses);

// The same for an expression that is evaluated over one input, where every name may be a member of it.
[[nodiscard]] std::expected<void, ExpressionError> resolve_over_input(Node& root);

}  // namespace patchbay::flow::jsonata
