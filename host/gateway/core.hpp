#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "core/metrics.hpp"
#include "gateway/gateway.hpp"
#include "gateway/networks.hpp"
#include "gateway/target.hpp"

namespace patchbay::gateway {

// An open connection, as the sweep and the drain see it.
class OpenConnection {
 public:
  virtual ~OpenConnection() = default;
  // Closes it when its time is up; called about four times a second.
  virtual void sweep(std::chrono::steady_clock::time_point now) = 0;
  // Closes it now if it waits for a request, else after its answer.
  virtual void drain() = 0;
  virtual void abort() = 0;
};

// What the connections of a gateway share. It outlives the Gateway for as long as a handler holds it; then backend is
// nullptr.
struct Core {
  Core(Loop& loop, Backend& backend, GatewaySettings settings, Networks trusted);

  Loop& loop;
  Backend* backend;
  GatewaySettings settings;
  Networks trusted_proxies;
  std::unordered_set<OpenConnection*> connections;
  std::unordered_map<std::string, std::size_t> per_address;  // only with a limit
  std::size_t buffered_bytes = 0;
  bool draining = false;

  // Changes how much of buffered_bytes a connection holds. False: no room for it, and nothing has changed.
  [[nodiscard]] bool hold(std::size_t& held, std::size_t wanted);

  void count(std::string_view method, Route route, int status, std::chrono::steady_clock::duration took);

 private:
  std::unordered_map<std::uint64_t, metrics::Counter> counters_;
  std::vector<metrics::Histogram> durations_;  // by route
};

}  // namespace patchbay::gateway
