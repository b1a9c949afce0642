#pragma once

#include <deque>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/time.hpp"
#include "sim/simulator.hpp"

namespace patchbay::simulators {

struct DiscordSettings {
  Simulator::Settings common = {};
  std::vector<std::string> tokens{"simulated.bot.token"};
  std::set<std::string> channels = {};  // empty: every id of 17 digits and more exists
  int bucket_limit = 0;                 // messages a channel in bucket_window; 0: no limit
  Duration bucket_window = std::chrono::seconds{5};
  Duration nonce_window = std::chrono::minutes{5};  // "the past few minutes"
  const Clock* clock = &system_clock();
};

struct DiscordMessage {
  std::uint64_t id = 0;  // snowflake
  std::string channel_id = {};
  std::string content = {};
  std::string nonce = {};  // empty: none
  bool tts = false;
  int repeats = 0;  // how often the same nonce came again and got this message
  Timestamp sent = {};
};

// discord.com/api/v10 as its documentation and its OpenAPI description show it: messages of channels, with nonces, rate
// limits and errors. Any thread.
//   GET    /_sim/messages  {"messages": [{id, channel_id, content, nonce, repeats}], "count", "duplicate_nonces"}
//   DELETE /_sim/messages  forgets them and their nonces
class DiscordSimulator : public Simulator {
 public:
  explicit DiscordSimulator(DiscordSettings settings = {});
  ~DiscordSimulator() override;

  [[nodiscard]] std::vector<DiscordMessage> messages() const;

 protected:
  Response answer(const Request& request) override;
  Response failure(const Fault& fault) override;
  bool control(const Request& request, HttpServer::Answer& answer) override;

 private:
  struct Bucket {
    Timestamp began;
    int used = 0;
  };
  // The time a channel's bucket is full again, when it is empty now; else takes one from it.
  std::optional<Duration> take_from_bucket(const std::string& channel);
  void add_bucket_headers(const std::string& channel, Response& response) const;

  Response create_message(const Request& request, const std::string& channel);
  Response list_messages(const Request& request, const std::string& channel) const;
  // The message with this nonce, if it is young enough.
  DiscordMessage* find_nonce(const std::string& key);
  std::uint64_t next_snowflake();

  DiscordSettings settings_;
  std::deque<DiscordMessage> messages_;                      // references stay valid
  std::unordered_map<std::string, DiscordMessage*> nonces_;  // channel and nonce
  std::unordered_map<std::string, Bucket> buckets_;          // per channel
  std::uint64_t last_snowflake_ = 0;
};

}  // namespace patchbay::simulators
