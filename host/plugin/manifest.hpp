#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "plugin/auth_scheme.hpp"
#include "plugin/verification.hpp"

namespace patchbay::plugin {

enum class TriggerMode { webhook, poll, socket };

struct Operation {
  std::string id;    // "issues"
  std::string name;  // "An issue changed"
  std::string description;
  std::vector<std::string> scopes;
  std::string params;                       // JSON Schema
  std::string output;                       // JSON Schema
  TriggerMode mode = TriggerMode::webhook;  // triggers
  std::optional<Duration> every;            // polls
  std::optional<Duration> timeout;          // reactions
  bool degrades = false;                    // without its scopes it does what it can; otherwise it is refused
  bool hidden = false;
  bool idempotent = false;  // reactions: repeating one with the same key does no harm
};

// A provider's manifest: data, never code. Checked against plugin/manifest.schema.json before it is read.
struct Manifest {
  std::string id;
  std::string version;
  std::string name;
  std::string json;  // the whole text
  int state_version = 1;
  std::vector<int> reads_states{1};
  std::vector<std::string> hosts;
  std::map<std::string, std::string> default_headers;  // sent with every request unless the plugin says otherwise
  std::string base_url;                                // "https://api.github.com"; the configuration may override it
  std::vector<AuthScheme> auth;
  VerificationScheme verification;
  std::string delivery_key_header;  // header that names a delivery: dedupe before the plugin is asked; may be empty
  Duration patience = std::chrono::milliseconds{2500};
  std::vector<Operation> triggers;
  std::vector<Operation> reactions;

  // Errc::invalid, with each fault and its JSON Pointer on one line.
  [[nodiscard]] static Result<Manifest> parse(std::string_view json);
  [[nodiscard]] const Operation* trigger(std::string_view id) const;
  [[nodiscard]] const Operation* reaction(std::string_view id) const;
  // By its id or its type; nullptr: there is none.
  [[nodiscard]] const AuthScheme* scheme(std::string_view id_or_type) const;
};

}  // namespace patchbay::plugin
