#pragma once

#include <atomic>
#include <cstdint>

#include "sim/simulator.hpp"

namespace patchbay::simulators {

// Any web service: the far end of the http plugin. Answers everything with 200 and what it was sent; /status/404 with
// that status; /text with plain text; /redirect?to=URL with 302. Any thread.
class SinkSimulator : public Simulator {
 public:
  explicit SinkSimulator(const Settings& settings = {});
  ~SinkSimulator() override;

 protected:
  Response answer(const Request& request) override;
  Response failure(const Fault& fault) override;
  bool control(const Request& request, HttpServer::Answer& answer) override;

 private:
  std::atomic<std::uint64_t> answered_{0};
};

}  // namespace patchbay::simulators
