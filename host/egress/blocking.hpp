#pragma once

#include "core/executor.hpp"
#include "egress/http_client.hpp"

namespace patchbay::egress {

// Sends from a thread that may wait, which is never the loop's. Errc::timeout also when the loop does not turn.
[[nodiscard]] Result<HttpReply> send_and_wait(Executor& loop, HttpClient& client, HttpRequest request);

}  // namespace patchbay::egress
