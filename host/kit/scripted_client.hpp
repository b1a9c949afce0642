#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/executor.hpp"
#include "egress/http_client.hpp"

namespace patchbay::kit {

// What stands for a secret wherever a request is shown or compared.
inline constexpr std::string_view kSecretMark = "{callback_secret}";

// Answers as it is told, without a network; keeps what was asked. As the real client it holds to the hosts that are
// allowed, and answers later. On the executor only.
class ScriptedClient : public egress::HttpClient {
 public:
  // nullopt: no answer ever comes (until the request is cancelled).
  using Answer = std::function<std::optional<Result<egress::HttpReply>>(const egress::HttpRequest&)>;

  explicit ScriptedClient(Executor& executor) : executor_(executor) {}

  Answer answer;  // none: every request is left unanswered
  // Those that may have gone out, secrets as kSecretMark; and the hosts of those that were not allowed to.
  std::vector<egress::HttpRequest> requests;
  std::vector<std::string> denied;

  Handle send(egress::HttpRequest request, Done done) override;
  void cancel(Handle handle) override;
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }

 private:
  void finish(Handle handle, Result<egress::HttpReply> reply);

  Executor& executor_;
  Handle last_ = 0;
  std::vector<std::pair<Handle, Done>> waiting_;
};

// "api.github.com" of "https://api.github.com:443/x"; empty: the host's own client would not take this URL.
[[nodiscard]] std::string host_of(std::string_view url);

}  // namespace patchbay::kit
