#include "gateway/core.hpp"

#include <array>

namespace patchbay::gateway {
namespace {

constexpr std::array<std::string_view, 8> kMethods{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "other"};

std::size_t method_index(std::string_view method) {
  for (std::size_t i = 0; i + 1 < kMethods.size(); ++i) {
    if (kMethods[i] == method) return i;
  }
  return kMethods.size() - 1;
}

}  // namespace

Core::Core(Loop& loop, Backend& backend, GatewaySettings settings, Networks trusted)
    : loop(loop), backend(&backend), settings(std::move(settings)), trusted_proxies(std::move(trusted)) {
  for (int route = 0; route <= static_cast<int>(Route::none); ++route) {
    durations_.push_back(metrics::histogram("http_request_duration_seconds", "From the request's head to its answer",
                                            {{"route", std::string(pattern_of(static_cast<Route>(route)))}}));
  }
}

bool Core::hold(std::size_t& held, std::size_t wanted) {
  if (wanted > held && buffered_bytes - held + wanted > settings.buffered_bytes) return false;
  buffered_bytes = buffered_bytes - held + wanted;
  held = wanted;
  return true;
}

void Core::count(std::string_view method, Route route, int status, std::chrono::steady_clock::duration took) {
  const auto index = method_index(method);
  const auto key = static_cast<std::uint64_t>(status) << 16 | static_cast<std::uint64_t>(route) << 8 | index;
  auto found = counters_.find(key);
  if (found == counters_.end()) {
    found = counters_
                .emplace(key, metrics::counter("http_requests_total", "Requests by their answer",
                                               {{"method", std::string(kMethods[index])},
                                                {"route", std::string(pattern_of(route))},
                                                {"status", std::to_string(status)}}))
                .first;
  }
  found->second.increment();
  durations_[static_cast<std::size_t>(route)].observe(std::chrono::duration<double>(took).count());
}

}  // namespace patchbay::gateway
