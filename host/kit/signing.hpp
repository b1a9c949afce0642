#pragma once

#include <optional>

#include "plugin/verification.hpp"

namespace patchbay::kit {

// What a provider does before it calls: adds the headers (signature, timestamp) that a manifest's scheme asks for.
// Schemes none and custom: nothing is added. ed25519: signed with the key pair made of the secret's SHA-256.
void sign_request(const plugin::VerificationScheme& scheme, const Secret& secret, Timestamp now,
                  plugin::WebhookRequest& request);

// The secret that the verifier must be given for requests that were signed with `secret`: itself, or for ed25519 the
// public key in hex.
[[nodiscard]] Secret verifying_secret(const plugin::VerificationScheme& scheme, const Secret& secret);

}  // namespace patchbay::kit
