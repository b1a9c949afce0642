#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/json.hpp"
#include "flow/template.hpp"

namespace patchbay::flow {

// Checks parameters against a JSON Schema (draft 7) and appends what is wrong. Strings with {{ }} are checked as far as
// can be known: text with expressions in it is a string of unknown content, a value that is one expression may be
// anything. `operation` is for messages.
void check_params(std::string_view operation, const std::string& schema, const JsonView& params,
                  const std::string& pointer, std::vector<Problem>& problems);

}  // namespace patchbay::flow
