#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "egress/http_client.hpp"
#include "plugin/provider.hpp"

namespace patchbay::kit {

// A value that a JSON Schema takes, made of its examples, default, enum or type; required members only. A pattern is not
// understood: such a property wants an example.
[[nodiscard]] nlohmann::json sample_of(const nlohmann::json& schema);

// One of a manifest's examples of a trigger or reaction: what to call it with, and what the provider says then.
struct Example {
  bool given = false;  // false: made up from the schemas
  std::string params;
  // What the provider answers to the requests, one after the other; when they are used up, a made-up 200.
  std::vector<egress::HttpReply> replies;
  // A webhook that makes an event; its signature is added.
  std::optional<plugin::WebhookRequest> delivery;
};
// operation: an element of /triggers or /reactions.
[[nodiscard]] std::vector<Example> examples_of(const nlohmann::json& operation);

}  // namespace patchbay::kit
