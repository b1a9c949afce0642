#pragma once

#include <functional>
#include <string>
#include <vector>

#include "egress/http_client.hpp"
#include "core/error.hpp"

namespace patchbay::kit {

// How a scenario went.
struct ScenarioResult {
  std::string name;
  std::vector<std::string> failures;  // each with its step; empty: it passed
};

// Plays a scenario file (docs/writing-a-provider.md, "Scenarios"): steps, the requests that each is expected to make with
// their answers, and what must come out. Errc::not_found, invalid: the file or the plugin cannot be read.
[[nodiscard]] Result<ScenarioResult> play_scenario(const std::string& plugin_file, const std::string& scenario_file);

// Sends one request to the real provider.
using Live = std::function<Result<egress::HttpReply>(const egress::HttpRequest&)>;
// Plays the steps against the real provider and writes the exchanges and results into the file, from where they are
// played for ever. credentials: texts that must not stand in it; members of answers that are called like a secret are
// blanked, too.
[[nodiscard]] Result<ScenarioResult> record_scenario(const std::string& plugin_file, const std::string& scenario_file,
                                                     const Live& live, const std::vector<std::string>& credentials);

}  // namespace patchbay::kit
