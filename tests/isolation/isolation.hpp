#pragma once

#include <string>
#include <vector>

#include "harness/message_rig.hpp"

namespace patchbay::isolation_test {

struct Plan {
  int calls = 20'000;    // of webhooks, here and in the process each
  double pace = 5'000;   // of them a second
  double seconds = 10;   // of the load, each with and without crashes
  double rate = 400;     // webhooks a second
  double crashes = 5;    // of another plugin's process a second
  int rounds = 5;
};

struct Cost {
  double here_us = 0;     // CPU a webhook with the plugin in this process
  double process_us = 0;  // with the plugin in its own; both sides of it
  double own_us = 0;      // of that, in the plugin's process
};
// A webhook of GitHub, verified by nobody, through the shipped github plugin: the call and nothing around it, at an even
// pace, in turns here and in a process. Throws when a call fails.
Cost measure_cost(const Plan& plan);

struct Storm : harness::Verdict {
  std::vector<double> quiet_p99_ms;  // by round
  std::vector<double> storm_p99_ms;
  std::size_t refused = 0;  // webhooks of the other plugins not answered 2xx
  std::size_t crashes = 0;  // of the isolated plugin's process
};
// The github and discord plugins under load in the host, while an isolated one crashes again and again.
Storm run_storm(const Plan& plan);

}  // namespace patchbay::isolation_test
