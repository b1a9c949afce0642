#pragma once

#include <memory>

#include "egress/http_client.hpp"
#include "vault/token_refresher.hpp"

namespace patchbay::vault {

// Sends a connection's requests with a token that is good: waits for a new one when it has expired, asks for one ahead of
// that, and tries once more with a new one when the provider answers 401. A connection that is refused for good is noted
// before the answer is given. The references outlive it. On the loop's thread only.
[[nodiscard]] std::unique_ptr<egress::HttpClient> make_authorizing_client(const Clock& clock, egress::HttpClient& inner, Connections& connections,
                                                                          TokenRefresher& refresher);

}  // namespace patchbay::vault
