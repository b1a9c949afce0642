#include "app/backend.hpp"

#include <nlohmann/json.hpp>

#include "core/metrics.hpp"

namespace patchbay::app {

void HostBackend::hook(gateway::HookRequest request, Respond respond) {
  auto webhook = std::make_shared<plugin::WebhookRequest>();
  webhook->method = std::move(request.method);
  webhook->query = std::move(request.query);
  webhook->headers = std::move(request.headers);
  webhook->body = std::move(request.body);
  hooks_.deliver(request.token, std::move(webhook), [respond = std::move(respond)](engine::HookAnswer answer) mutable {
    respond({answer.status, std::move(answer.content_type), std::move(answer.body), answer.retry_after_s});
  });
}

bool HostBackend::ready(std::string& why_not) const {
  why_not = why_not_;
  return why_not_.empty();
}

// The form that the AREA projects agreed on: who asks, what time it is here, what can be automated.
std::string HostBackend::about_json(std::string_view client) const {
  auto services = nlohmann::json::array();
  const auto describe = [](const std::vector<plugin::Operation>& operations) {
    auto list = nlohmann::json::array();
    for (const auto& operation : operations) {
      if (operation.hidden) continue;
      list.push_back({{"name", operation.id},
                      {"description", operation.description.empty() ? operation.name : operation.description}});
    }
    return list;
  };
  for (const auto& manifest : registry_.manifests()) {
    services.push_back({{"name", manifest->id},
                        {"actions", describe(manifest->triggers)},
                        {"reactions", describe(manifest->reactions)}});
  }
  const nlohmann::json about{
      {"client", {{"host", client}}},
      {"server", {{"current_time", micros(clock_.now()) / 1'000'000}, {"services", std::move(services)}}}};
  return about.dump();
}

std::string HostBackend::metrics() const { return metrics::exposition(); }

}  // namespace patchbay::app
