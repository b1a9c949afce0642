#pragma once

#include "plugin/instance.hpp"
#include "plugin/isolation/wire.hpp"
#include "plugin/provider.hpp"

// The frames that have more to say than a number or two.
namespace patchbay::plugin::isolation {

// In the plugin's process a connection is a number, its task's, that only the host can make anything of.
[[nodiscard]] ConnectionId connection_for(std::uint64_t task);
[[nodiscard]] std::uint64_t task_of(ConnectionId connection);   // 0: nil

struct StartSettings {
  std::string file;  // a copy that nobody changes
  std::string base_url;
  std::string config_json;
  InstanceLimits limits;
  std::int64_t memory_bytes = 0;
};
[[nodiscard]] std::string encode(const StartSettings& settings);
[[nodiscard]] StartSettings decode_settings(Reader& reader);

// A task. Its connection stays in the host, and so does its secret unless `with_secret`: the process knows whether there
// is one.
[[nodiscard]] std::string encode(std::uint64_t task, const Call& call, bool with_secret, Timestamp now);
struct Begin {
  Timestamp now;  // of the host: the process has no other clock
  std::uint64_t task = 0;
  Call call;
};
[[nodiscard]] Begin decode_begin(Reader& reader);

[[nodiscard]] std::string encode(std::uint64_t task, const Outcome& outcome);
struct End {
  std::uint64_t task = 0;
  Outcome outcome;
};
[[nodiscard]] End decode_outcome(Reader& reader);

// A request; account and secret: whose connection and secret go along, by task; 0: none.
struct Asked {
  std::uint64_t handle = 0;
  std::uint64_t account = 0;
  std::uint64_t secret = 0;
  std::string reference;
  egress::HttpRequest request;
};
[[nodiscard]] std::string encode(const Asked& asked);
[[nodiscard]] Asked decode_http(Reader& reader);

[[nodiscard]] std::string encode(std::uint64_t handle, const Result<egress::HttpReply>& reply, Timestamp now);
struct Answered {
  Timestamp now;
  std::uint64_t handle = 0;
  Result<egress::HttpReply> reply;
};
[[nodiscard]] Answered decode_reply(Reader& reader);

}  // namespace patchbay::plugin::isolation
