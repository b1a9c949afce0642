#pragma once

#include "hosts/pair.hpp"

namespace patchbay::hosts {

struct Throughput {
  double one = 0;     // reactions a second, of one host
  double both = 0;    // of two that both take webhooks
  double shared = 0;  // of two of which one takes all webhooks
  Pair::Count count;  // over all three
};
// Sends so many events, in a moment, and takes the time until the last has arrived. Starts and stops the second host.
Throughput measure_throughput(Pair& pair, int events);

struct Takeover {
  double seconds = 0;  // from the blow until all that was accepted has arrived
  Pair::Count count;
};
enum class Blow { kill, freeze };
// Both hosts work under an even load; then the first is killed, or stopped (SIGSTOP) until the other has finished.
Takeover take_over(Pair& pair, Blow blow, double seconds, int lease_seconds);

}  // namespace patchbay::hosts
