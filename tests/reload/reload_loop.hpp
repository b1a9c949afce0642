#pragma once

#include <functional>
#include <string>

#include "harness/message_rig.hpp"

namespace patchbay::reload {

struct Plan {
  double seconds = 60;   // of the load, each with and without reloads
  double rate = 2000;    // webhooks a second
  double every = 1;      // seconds between two replacements of both plugins
  int many = 1000;       // reloads without load after that, for what they leave behind
  bool unload = false;   // plugins.unload
  bool compare = true;   // with the same load without reloads
};

// Of the host process.
struct Footprint {
  double resident_kb = 0;
  int threads = 0;
  int descriptors = 0;
};

struct Verdict : harness::Verdict {
  int replacements = 0;         // of a plugin file under load
  int reloads = 0;              // of these that the host has done
  std::size_t refused = 0;      // webhooks not answered 2xx
  double quiet_p99_ms = 0;      // response, without reloads
  double reloading_p99_ms = 0;  // with them
  Footprint after_ten;          // of the reloads without load
  Footprint after_many;
  double kb_per_reload = 0;
  int tasks = 0;     // under way at the end
  int draining = 0;  // builds that still drain at the end
};

// Replaces the github and discord plugins of a host again and again while it is under load, as `mv` does it, with one
// of two builds in turn. progress is told what happens.
Verdict run(const Plan& plan, const std::function<void(const std::string&)>& progress);

}  // namespace patchbay::reload
