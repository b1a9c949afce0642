#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "flow/jsonata/value.hpp"

namespace patchbay::flow::jsonata {

struct Function;

enum class NodeType {
  literal,    // literal
  string,     // text; a step of a path that is one becomes a name
  name,       // text
  output,     // the output of node `place`
  context,    // $
  root,       // $$
  variable,   // $text: only between parser and resolver
  path,       // children: the steps
  negate,     // children: one
  binary,     // op, children: two
  condition,  // children: if, then, [else]
  array,      // children: the items
  object,     // children: key, value, key, value, ...
  block,      // children: the last one counts
  call,       // function, children: the arguments
};

enum class Operator {
  add,
  subtract,
  multiply,
  divide,
  remainder,
  equal,
  unequal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  conjunction,
  disjunction,
  concatenate
};

struct Node;
using NodePointer = std::unique_ptr<Node>;

struct Node {
  NodeType type;
  std::size_t position;  // byte in the text
  Operator op{};
  std::string text;
  Value literal;
  std::size_t place = 0;
  const Function* function = nullptr;
  std::vector<NodePointer> children;
  std::vector<NodePointer> predicates;  // [..] behind a value
  std::vector<NodePointer> stages;      // [..] behind a step of a path
  NodePointer group;                    // {..} behind it: an object node
  bool keep_array = false;              // []
  bool keep_singleton = false;          // path: a step of it has []
  bool constructed = false;             // array: is a path's first or last step
  unsigned depth = 1;
};

}  // namespace patchbay::flow::jsonata
