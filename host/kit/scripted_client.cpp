#include "kit/scripted_client.hpp"

#include <algorithm>

namespace patchbay::kit {
namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

}  // namespace

std::string host_of(std::string_view url) {
  const auto scheme = url.find("://");
  if (scheme == std::string_view::npos) return {};
  auto host = url.substr(scheme + 3);
  host = host.substr(0, host.find_first_of("/?#"));
  if (const auto user = host.rfind('@'); user != std::string_view::npos) host.remove_prefix(user + 1);
  if (host.starts_with('[')) return std::string(host.substr(0, host.find(']') + 1));
  return std::string(host.substr(0, host.find(':')));
}

bool is_listed(std::string_view host, const std::vector<std::string>& list) {
  return std::any_of(list.begin(), list.end(), [host](std::string_view listed) {
    if (listed == "*" || listed == host) return true;
    return listed.starts_with("*.") && host.ends_with(listed.substr(1));
  });
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
  if (host.empty() || !request.allowed_hosts || !is_listed(host, *request.allowed_hosts)) {
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
