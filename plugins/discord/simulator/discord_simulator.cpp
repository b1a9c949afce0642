#include "discord/simulator/discord_simulator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "discord/simulator/shapes.hpp"

namespace patchbay::simulators {

using nlohmann::json;

namespace {

constexpr std::size_t kContentLimit = 2000;  // characters; discord.com/developers/docs/resources/message
constexpr std::size_t kNonceLimit = 25;

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

bool is_snowflake(std::string_view text) {
  return !text.empty() && text.size() <= 20 && text.front() != '0' &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

double seconds(Duration d) { return static_cast<double>(d.count()) / 1e6; }

// Of the members that are used here; nullopt: all are as they should be.
std::optional<Response> fault_of(const json& body) {
  const auto content = body.find("content");
  if (content != body.end() && !content->is_null()) {
    if (!content->is_string()) return discord::form_error("content", "BASE_TYPE_BAD_TYPE", "Must be a string.");
    if (characters(content->get_ref<const std::string&>()) > kContentLimit) {
      return discord::form_error("content", "BASE_TYPE_MAX_LENGTH", "Must be 2000 or fewer in length.");
    }
  }
  const auto nonce = body.find("nonce");
  if (nonce != body.end() && nonce->is_string() && nonce->get_ref<const std::string&>().size() > kNonceLimit) {
    return discord::form_error("nonce", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.");
  }
  const auto tts = body.find("tts");
  if (tts != body.end() && !tts->is_boolean() && !tts->is_null()) {
    return discord::form_error("tts", "BASE_TYPE_BAD_TYPE", "Must be a boolean.");
  }
  return std::nullopt;
}

std::string nonce_of(const json& body) {
  const auto nonce = body.find("nonce");
  if (nonce == body.end() || nonce->is_null()) return {};
  return nonce->is_string() ? nonce->get<std::string>() : nonce->dump();
}

}  // namespace

DiscordSimulator::DiscordSimulator(DiscordSettings settings)
    : Simulator("discord", settings.common), settings_(std::move(settings)) {
  listen();
}

DiscordSimulator::~DiscordSimulator() { close(); }

std::vector<DiscordMessage> DiscordSimulator::messages() const {
  const std::scoped_lock lock(mutex_);
  return {messages_.begin(), messages_.end()};
}

Response DiscordSimulator::answer(const Request& request) {
  const auto authorization = request.header("authorization");
  const bool known = authorization.starts_with("Bot ") &&
                     std::ranges::find(settings_.tokens, authorization.substr(4)) != settings_.tokens.end();
  if (request.header("user-agent").empty()) return discord::error(403, 40333, "internal network error");
  if (!known) return discord::error(401, 0, "401: Unauthorized");
  const auto segments = path_segments(request.path);
  const bool is_messages = segments.size() == 5 && segments[0] == "api" && segments[1] == "v10" &&
                           segments[2] == "channels" && segments[4] == "messages";
  if (!is_messages) return discord::error(404, 0, "404: Not Found");
  const auto& channel = segments[3];
  if (!is_snowflake(channel)) {
    return discord::form_error("channel_id", "NUMBER_TYPE_COERCE", "Value \"" + channel + "\" is not snowflake.");
  }
  const bool exists = settings_.channels.empty() ? channel.size() >= 17 : settings_.channels.contains(channel);
  if (!exists) return discord::error(404, 10003, "Unknown Channel");
  if (request.method == "GET") return list_messages(request, channel);
  if (request.method != "POST") return discord::error(405, 0, "405: Method Not Allowed");

  const auto wait = take_from_bucket(channel);
  Response response = wait ? discord::rate_limited(seconds(*wait), false, "user") : create_message(request, channel);
  add_bucket_headers(channel, response);
  return response;
}

Response DiscordSimulator::failure(const Fault& fault) {
  if (fault.status == support::kHangUp) return {.status = support::kHangUp};
  if (fault.status == 429) return discord::rate_limited(fault.retry_after_s, true, "global");
  if (fault.status == 403) return discord::error(403, 50013, "Missing Permissions");
  return discord::error(fault.status, 0, std::to_string(fault.status) + ": Failure");
}

bool DiscordSimulator::control(const Request& request, HttpServer::Answer& answer) {
  if (request.path != "/_sim/messages") return false;
  if (request.method == "DELETE") {
    const std::scoped_lock lock(mutex_);
    nonces_.clear();
    messages_.clear();
    answer({.status = 204});
    return true;
  }
  if (request.method != "GET") return false;
  auto list = json::array();
  int repeats = 0;
  for (const auto& message : messages()) {
    repeats += message.repeats;
    list.push_back({{"id", std::to_string(message.id)},
                    {"channel_id", message.channel_id},
                    {"content", message.content},
                    {"nonce", message.nonce},
                    {"repeats", message.repeats}});
  }
  const auto count = list.size();
  answer(json_response(200, {{"messages", std::move(list)}, {"count", count}, {"duplicate_nonces", repeats}}));
  return true;
}

std::optional<Duration> DiscordSimulator::take_from_bucket(const std::string& channel) {
  if (settings_.bucket_limit == 0) return std::nullopt;
  auto& bucket = buckets_[channel];
  const auto now = settings_.clock->now();
  if (now - bucket.began >= settings_.bucket_window) bucket = {.began = now};
  if (bucket.used >= settings_.bucket_limit) return bucket.began + settings_.bucket_window - now;
  ++bucket.used;
  return std::nullopt;
}

void DiscordSimulator::add_bucket_headers(const std::string& channel, Response& response) const {
  const auto known = buckets_.find(channel);
  const bool limited = known != buckets_.end();
  const int limit = limited ? settings_.bucket_limit : 1'000'000;
  const int remaining = limited ? limit - known->second.used : limit - 1;
  const auto now = settings_.clock->now();
  const auto reset = limited ? known->second.began + settings_.bucket_window : now + settings_.bucket_window;
  auto& headers = response.headers;
  headers.emplace_back("X-RateLimit-Bucket", "80c17d2f203122d936070c88c8d10f33");
  headers.emplace_back("X-RateLimit-Limit", std::to_string(limit));
  headers.emplace_back("X-RateLimit-Remaining", std::to_string(remaining));
  headers.emplace_back("X-RateLimit-Reset", fmt::format("{:.3f}", seconds(reset.time_since_epoch())));
  headers.emplace_back("X-RateLimit-Reset-After", fmt::format("{:.3f}", seconds(reset - now)));
}

DiscordMessage* DiscordSimulator::find_nonce(const std::string& key) {
  const auto known = nonces_.find(key);
  if (known == nonces_.end()) return nullptr;
  return settings_.clock->now() - known->second->sent < settings_.nonce_window ? known->second : nullptr;
}

Response DiscordSimulator::create_message(const Request& request, const std::string& channel) {
  const auto body = parse_body(request);
  if (!body.is_object()) return discord::error(400, 50109, "The request body contains invalid JSON.");
  if (auto fault = fault_of(body)) return std::move(*fault);
  const auto content = body.find("content");
  if (content == body.end() || content->is_null() || content->get_ref<const std::string&>().empty()) {
    return discord::error(400, 50006, "Cannot send an empty message");
  }
  const auto nonce = nonce_of(body);
  const auto key = channel + " " + nonce;
  const auto enforce = body.find("enforce_nonce");
  if (!nonce.empty() && enforce != body.end() && *enforce == json(true)) {
    if (auto* known = find_nonce(key)) {
      ++known->repeats;
      return json_response(200, discord::message_json(*known));
    }
  }
  messages_.push_back({.id = next_snowflake(),
                       .channel_id = channel,
                       .content = content->get<std::string>(),
                       .nonce = nonce,
                       .tts = body.value("tts", json(false)) == json(true),
                       .sent = settings_.clock->now()});
  if (!nonce.empty()) nonces_[key] = &messages_.back();
  return json_response(200, discord::message_json(messages_.back()));
}

// Newest first.
Response DiscordSimulator::list_messages(const Request& request, const std::string& channel) const {
  const auto number = [&](const char* name, std::uint64_t otherwise) {
    const auto text = request.parameter(name);
    std::from_chars(text.data(), text.data() + text.size(), otherwise);
    return otherwise;
  };
  const auto limit = number("limit", 50);
  const auto before = number("before", ~std::uint64_t{0});
  const auto after = number("after", 0);
  if (limit < 1 || limit > 100) {
    return discord::form_error("limit", "NUMBER_TYPE_MAX", "int value should be less than or equal to 100.");
  }
  auto list = json::array();
  for (auto message = messages_.rbegin(); message != messages_.rend() && list.size() < limit; ++message) {
    if (message->channel_id != channel || message->id >= before || message->id <= after) continue;
    list.push_back(discord::message_json(*message));
  }
  return json_response(200, list);
}

// Milliseconds since 2015, then worker, process and a counter: discord.com/developers/docs/reference#snowflakes
std::uint64_t DiscordSimulator::next_snowflake() {
  constexpr std::int64_t kEpochMs = 1'420'070'400'000;
  const auto since = std::max<std::int64_t>(millis(settings_.clock->now()) - kEpochMs, 0);
  last_snowflake_ = std::max(static_cast<std::uint64_t>(since) << 22, last_snowflake_ + 1);
  return last_snowflake_;
}

}  // namespace patchbay::simulators
