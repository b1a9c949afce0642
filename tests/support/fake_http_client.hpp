#pragma once

#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "core/loop.hpp"
#include "egress/http_client.hpp"

namespace patchbay::support {

// Answers requests as the test says, one turn of the loop later, as the real client does.
class FakeHttpClient : public egress::HttpClient {
 public:
  using Answer = std::function<Result<egress::HttpReply>(const egress::HttpRequest&)>;

  explicit FakeHttpClient(Loop& loop) : loop_(loop) {}

  // By default everything is answered with 200 and {}.
  Answer answer = [](const egress::HttpRequest&) { return egress::HttpReply{200, {}, "{}"}; };
  bool silent = false;  // never answers, until it is cancelled
  std::function<bool(const egress::HttpRequest&)> silent_to = [](const egress::HttpRequest&) { return false; };  // likewise
  std::vector<egress::HttpRequest> requests;

  Handle send(egress::HttpRequest request, Done done) override {
    requests.push_back(request);
    const auto handle = ++last_;
    auto& waiting = waiting_.emplace_back(handle, std::move(done));
    if (!silent && !silent_to(request)) {
      loop_.post(
          [this, handle = waiting.first, reply = answer(request)]() mutable { finish(handle, std::move(reply)); });
    }
    return handle;
  }
  void cancel(Handle handle) override {
    loop_.post([this, handle] { finish(handle, fail(Errc::cancelled, "cancelled")); });
  }

 private:
  void finish(Handle handle, Result<egress::HttpReply> reply) {
    for (auto at = waiting_.begin(); at != waiting_.end(); ++at) {
      if (at->first != handle) continue;
      auto done = std::move(at->second);
      waiting_.erase(at);
      return done(std::move(reply));
    }
  }

  Loop& loop_;
  Handle last_ = 0;
  std::deque<std::pair<Handle, Done>> waiting_;
};

}  // namespace patchbay::support
