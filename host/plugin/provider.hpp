#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "core/error.hpp"
#include "core/id.hpp"
#include "core/json.hpp"
#include "core/time.hpp"
#include "egress/http_client.hpp"

namespace patchbay::plugin {

enum class Verb { watch, stop, poll, webhook, socket, reaction };

// An inbound webhook request, as it came. Shared by all who work on it; never changed.
struct WebhookRequest {
  std::string method;
  std::string query;
  egress::Headers headers;  // names in lower case
  std::string body;
};

// One piece of work for a plugin.
struct Call {
  Verb verb = Verb::reaction;
  std::string name;    // trigger or reaction, without the provider: "issues"
  std::string params;  // JSON object
  std::string key;     // the same at every attempt: the idempotency key
  std::string state;   // of the watch; empty at first
  int state_version = 0;
  int attempt = 1;
  WatchId watch;                                  // nil for a reaction
  ConnectionId connection;                        // nil: none
  std::string callback_url;                       // watch, stop, webhook
  Secret callback_secret;                         // the plugin gets a reference to it
  std::shared_ptr<const WebhookRequest> request;  // webhook
  std::shared_ptr<const JsonDocument> body;       // webhook: the body, when it is JSON (parsed once, here)
  bool object_body = false;                       // it is known to be a JSON object, though not parsed here
  Timestamp deadline;
};

struct EmittedEvent {
  std::string key;
  Timestamp occurred;
  bool is_request_body = false;  // data is the request's body, word for word
  std::string data;              // JSON object, unless is_request_body
};

// How a task ended. error is set when it failed; then nothing of events and state counts.
struct Outcome {
  std::optional<Error> error;
  std::int32_t status = 0;  // the plugin's own word, a pbay_status, when it ended the task itself
  bool gone = false;        // PBAY_E_GONE: the remote object is no more
  std::string output;       // reaction: JSON object; webhook: body of the answer
  std::string content_type;
  int http_status = 0;  // webhook: of the answer; 0: 204
  std::optional<std::string> state;
  int state_version = 0;         // of the build that wrote it
  std::optional<Duration> next;  // poll again, renew, or try again after so long
  std::vector<EmittedEvent> events;
};

// A loaded provider. On the loop's thread only.
class Provider {
 public:
  using Done = std::move_only_function<void(Outcome)>;
  using TaskId = std::uint64_t;

  virtual ~Provider() = default;
  // Begins a task. done is called exactly once, perhaps before begin() returns.
  virtual TaskId begin(Call call, Done done) = 0;
  // Ends a task early: its outcome is Errc::cancelled. Unknown ids are ignored.
  virtual void cancel(TaskId task) = 0;
};

}  // namespace patchbay::plugin
