#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "discord/simulator/discord_simulator.hpp"

namespace patchbay::simulators::discord {

// What Discord says: complete objects, valid against its OpenAPI description.
[[nodiscard]] nlohmann::json message_json(const DiscordMessage& message);

// discord.com/developers/docs/topics/opcodes-and-status-codes#json
[[nodiscard]] Response error(int status, int code, const std::string& message);
// 400, code 50035, with the tree of errors.
[[nodiscard]] Response form_error(const std::string& field, const std::string& code, const std::string& message);
// scope: "user", "global" or "shared".
[[nodiscard]] Response rate_limited(double retry_after_s, bool global, const std::string& scope);

}  // namespace patchbay::simulators::discord
