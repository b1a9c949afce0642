#include "discord/simulator/shapes.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

namespace patchbay::simulators::discord {

using nlohmann::json;

namespace {

json bot_json() {
  return {{"id", "1100000000000000000"},
          {"username", "patchbay"},
          {"avatar", nullptr},
          {"discriminator", "0000"},
          {"public_flags", 0},
          {"flags", 0},
          {"bot", true},
          {"banner", nullptr},
          {"accent_color", nullptr},
          {"global_name", nullptr},
          {"avatar_decoration_data", nullptr},
          {"collectibles", nullptr},
          {"primary_guild", nullptr}};
}

std::string to_iso(Timestamp t) {  // "2026-11-21T05:02:09.123000+00:00"
  auto text = to_rfc3339(t);
  text.replace(text.find('Z'), 1, "+00:00");
  return text;
}

}  // namespace

json message_json(const DiscordMessage& message) {
  static const json author = bot_json();
  json shape{{"type", 0},
             {"content", message.content},
             {"mentions", json::array()},
             {"mention_roles", json::array()},
             {"attachments", json::array()},
             {"embeds", json::array()},
             {"timestamp", to_iso(message.sent)},
             {"edited_timestamp", nullptr},
             {"flags", 0},
             {"components", json::array()},
             {"id", std::to_string(message.id)},
             {"channel_id", message.channel_id},
             {"author", author},
             {"pinned", false},
             {"mention_everyone", false},
             {"tts", message.tts}};
  if (!message.nonce.empty()) shape["nonce"] = message.nonce;
  return shape;
}

Response error(int status, int code, const std::string& message) {
  return json_response(status, {{"message", message}, {"code", code}});
}

Response form_error(const std::string& field, const std::string& code, const std::string& message) {
  const json entry{{"code", code}, {"message", message}};
  return json_response(
      400,
      {{"message", "Invalid Form Body"}, {"code", 50035}, {"errors", {{field, {{"_errors", json::array({entry})}}}}}});
}

Response rate_limited(double retry_after_s, bool global, const std::string& scope) {
  support::Headers headers{{"Retry-After", std::to_string(std::lround(std::ceil(retry_after_s)))},
                           {"X-RateLimit-Scope", scope}};
  if (global) headers.emplace_back("X-RateLimit-Global", "true");
  // code is not in the documented body, but required by the OpenAPI description.
  return json_response(
      429,
      {{"message", "You are being rate limited."}, {"retry_after", retry_after_s}, {"global", global}, {"code", 0}},
      std::move(headers));
}

}  // namespace patchbay::simulators::discord
