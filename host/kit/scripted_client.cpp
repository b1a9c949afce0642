#include "kit/scripted_client.hpp"

#include <algorithm>

#include "egress/target.hpp"

namespace patchbay::kit {
namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

}  // namespace

std::string host_of(std::string_view url) {
  const auto target = egress::parse_target(url);
  return target ? std::string(target->host()) : std::string();
}

ScriptedClient::Handle ScriptedClient::send(egress::HttpRequest request, Done done) {
  const auto handle = ++last_;
  waiting_.emplace_back(handle, std::move(done));
  for (const auto& [reference, secret] : request.expansions) {
    replace_all(request.url, reference, kSecretMark);
    replace_all(request.body, reference, kSecretMark);
    for (auto& [name, value] : request.headers) replace_all(value, reference, kSecretMark);
  }
  const auto host = host_of(request.url);
  if (host.empty() || !request.allowed_hosts || !egress::is_host_allowed(*request.allowed_hosts, host)) {
    denied.push_back(host);
    executor_.post([this, handle, host] {
      finish(handle, fail(Errc::denied, "the manifest does not list the host '" + host + "'"));
    });
    return handle;
  }
  requests.push_back(request);
  executor_.post([this, handle, request = std::move(request)] {
    auto reply = answer ? answer(request) : std::nullopt;
    if (reply) finish(handle, *std::move(reply));
  });
  return handle;
}

void ScriptedClient::cancel(Handle handle) {
  executor_.post([this, handle] { finish(handle, fail(Errc::cancelled, "cancelled")); });
}

void ScriptedClient::finish(Handle handle, Result<egress::HttpReply> reply) {
  const auto at = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& entry) { return entry.first == handle; });
  if (at == waiting_.end()) return;
  auto done = std::move(at->second);
  waiting_.erase(at);
  done(std::move(reply));
}

}  // namespace patchbay::kit
