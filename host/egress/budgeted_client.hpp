#pragma once

#include <chrono>
#include <memory>

#include "core/executor.hpp"
#include "egress/http_client.hpp"

namespace patchbay::egress {

// Keeps within what providers allow (RateBudgets), before they have to refuse. A request whose budget is spent waits here
// for a moment, in the order of arrival; when it would take longer than `patience`, or longer than the request may, it is
// answered 429 with Retry-After at once, as the provider would: its maker then waits where waiting costs nothing. The
// header "x-patchbay-budget" tells such an answer from the provider's own. On the loop's thread only.
[[nodiscard]] std::unique_ptr<HttpClient> make_budgeted_client(Executor& loop, const Clock& clock, std::unique_ptr<HttpClient> inner,
                                                               std::chrono::milliseconds patience = std::chrono::milliseconds{1500});

}  // namespace patchbay::egress
