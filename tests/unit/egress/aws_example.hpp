#pragma once

#include "egress/signer.hpp"

namespace patchbay::egress::testing {

// What the signatures of the published suite are made with.
inline AwsSigV4 suite_settings() {
  return {.access_key_id = "AKIDEXAMPLE",
          .secret_access_key = Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
          .session_token = {},
          .region = "us-east-1",
          .service = "service"};
}
inline const Timestamp kSuiteTime = *parse_rfc3339("2015-08-30T12:36:00Z");

}  // namespace patchbay::egress::testing
