#pragma once

#include <span>
#include <string>
#include <string_view>

namespace patchbay::flow {

// ", did you mean 'uppercase'?", or nothing when no candidate is near (a third of the letters may differ, case free).
// prefix stands in front of the name, inside the quotation marks: "$".
[[nodiscard]] std::string did_you_mean(std::string_view name, std::span<const std::string> candidates,
                                       std::string_view prefix = {});

}  // namespace patchbay::flow
