#pragma once

#include <atomic>
#include <string>

#include "core/time.hpp"
#include "engine/hooks.hpp"
#include "gateway/gateway.hpp"
#include "plugin/registry.hpp"

namespace patchbay::app {

// What the gateway asks of the host. On the loop's thread.
class HostBackend : public gateway::Backend {
 public:
  HostBackend(engine::Hooks& hooks, const plugin::Registry& registry, const Clock& clock)
      : hooks_(hooks), registry_(registry), clock_(clock) {}

  void hook(gateway::HookRequest request, Respond respond) override;
  bool ready(std::string& why_not) const override;
  std::string about_json(std::string_view client) const override;
  std::string metrics() const override;

  void set_not_ready(std::string why) { why_not_ = std::move(why); }

 private:
  engine::Hooks& hooks_;
  const plugin::Registry& registry_;
  const Clock& clock_;
  std::string why_not_;
};

}  // namespace patchbay::app
