#include "egress/budgeted_client.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "core/metrics.hpp"
#include "egress/rate_budgets.hpp"

namespace patchbay::egress {
namespace {

class BudgetedClient final : public HttpClient {
 public:
  BudgetedClient(Executor& loop, const Clock& clock, std::unique_ptr<HttpClient> inner, std::chrono::milliseconds patience)
      : loop_(loop),
        clock_(clock),
        patience_(patience),
        inner_(std::move(inner)),
        held_(metrics::counter("patchbay_rate_limited_total", "Requests that waited for a provider's rate limit", {{"how", "held"}})),
        put_off_(metrics::counter("patchbay_rate_limited_total", "Requests that waited for a provider's rate limit", {{"how", "put_off"}})) {}

  ~BudgetedClient() override {
    *alive_ = false;
    inner_.reset();  // answers what is under way
    for (auto& [handle, waiting] : waiting_) waiting.done(fail(Errc::cancelled, "http client is gone"));
  }

  Handle send(HttpRequest request, Done done) override {
    const auto handle = ++last_;
    start(handle, std::move(request), std::move(done));
    return handle;
  }

  void cancel(Handle handle) override {
    if (const auto found = sent_.find(handle); found != sent_.end()) return inner_->cancel(found->second);
    const auto found = waiting_.find(handle);
    if (found == waiting_.end()) return;
    loop_.cancel(found->second.timer);
    answer(std::move(found->second.done), fail(Errc::cancelled, "http request was cancelled"));
    waiting_.erase(found);
  }

 private:
  struct Waiting {
    HttpRequest request;
    Done done;
    std::uint64_t timer = 0;
  };

  void start(Handle handle, HttpRequest request, Done done) {
    const auto now = clock_.now();
    const auto until = budgets_.take(request, now);
    if (!until) return pass(handle, std::move(request), std::move(done));
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(*until - now);
    if (wait > std::min(patience_, request.timeout)) {
      put_off_.increment();
      return answer(std::move(done), refusal(wait));
    }
    held_.increment();
    request.timeout -= wait;
    auto& waiting = waiting_[handle] = {std::move(request), std::move(done), 0};
    waiting.timer = loop_.after(wait, [this, alive = alive_, handle] {
      if (!*alive) return;
      auto node = waiting_.extract(handle);
      if (node) start(handle, std::move(node.mapped().request), std::move(node.mapped().done));
    });
  }

  void pass(Handle handle, HttpRequest request, Done done) {
    // What learning needs of it: the rest goes with the request.
    HttpRequest about;
    about.method = request.method;
    about.url = request.url;
    about.provider = request.provider;
    about.connection = request.connection;
    sent_[handle] = inner_->send(std::move(request), [this, alive = alive_, handle, about = std::move(about), done = std::move(done)](Result<HttpReply> reply) mutable {
      if (*alive) {
        sent_.erase(handle);
        if (reply) budgets_.learn(about, *reply, clock_.now());
      }
      done(std::move(reply));
    });
  }

  static HttpReply refusal(std::chrono::milliseconds wait) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
    return {429,
            {{"retry-after", std::to_string(seconds)}, {"x-patchbay-budget", "spent"}, {"content-type", "application/json"}},
            fmt::format(R"({{"message":"the provider's rate limit is used up for {} s","retry_after":{}}})", seconds, seconds)};
  }

  void answer(Done done, Result<HttpReply> reply) {
    loop_.post([done = std::move(done), reply = std::move(reply)]() mutable { done(std::move(reply)); });
  }

  Executor& loop_;
  const Clock& clock_;
  const std::chrono::milliseconds patience_;
  std::unique_ptr<HttpClient> inner_;
  RateBudgets budgets_;
  Handle last_ = 0;
  std::unordered_map<Handle, Handle> sent_;  // ours -> inner's
  std::unordered_map<Handle, Waiting> waiting_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  metrics::Counter held_;
  metrics::Counter put_off_;
};

}  // namespace

std::unique_ptr<HttpClient> make_budgeted_client(Executor& loop, const Clock& clock, std::unique_ptr<HttpClient> inner,
                                                 std::chrono::milliseconds patience) {
  return std::make_unique<BudgetedClient>(loop, clock, std::move(inner), patience);
}

}  // namespace patchbay::egress
