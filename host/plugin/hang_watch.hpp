#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace patchbay::plugin {

// Says, while it lives, that this thread runs a plugin's code. For one thread of the process: the loop's. Costs a store.
class InsidePlugin {
 public:
  // provider: as number_of() knows it. verb: a string that stays.
  InsidePlugin(int provider, const char* verb);
  ~InsidePlugin();
  InsidePlugin(const InsidePlugin&) = delete;
  InsidePlugin& operator=(const InsidePlugin&) = delete;

  // The same for every build of a provider. Any thread.
  [[nodiscard]] static int number_of(std::string_view provider);

 private:
  std::uint64_t before_;  // a plugin may be called while another call of it is under way
};

struct Hang {
  std::string provider;
  std::string verb;
  std::vector<std::string> stack;  // of the thread, innermost first
};

// Notices that the thread it was made on does not come back from a plugin for as long as limit, and says so, once, on a
// thread of its own. The time that the whole process is stopped (by a debugger) does not count.
class HangWatch {
 public:
  using OnHang = std::function<void(const Hang&)>;
  HangWatch(std::chrono::milliseconds limit, OnHang on_hang);
  ~HangWatch();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace patchbay::plugin
