#include "egress/blocking.hpp"

#include <future>

namespace patchbay::egress {
namespace {

constexpr std::chrono::seconds kGrace{2};  // beside the request's own time

}  // namespace

Result<HttpReply> send_and_wait(Executor& loop, HttpClient& client, HttpRequest request) {
  const auto patience = request.timeout + kGrace;
  auto promise = std::make_shared<std::promise<Result<HttpReply>>>();
  auto answer = promise->get_future();
  loop.post([&client, promise, request = std::move(request)]() mutable {
    client.send(std::move(request), [promise](Result<HttpReply> reply) { promise->set_value(std::move(reply)); });
  });
  if (answer.wait_for(patience) != std::future_status::ready) return fail(Errc::timeout, "no answer in time");
  try {
    return answer.get();
  } catch (const std::future_error&) {
    return fail(Errc::cancelled, "the host stops");
  }
}

}  // namespace patchbay::egress
