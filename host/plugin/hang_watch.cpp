#include "plugin/hang_watch.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

#include <fmt/format.h>

namespace patchbay::plugin {
namespace {

// What runs now, in one word, so that the other thread never reads half of it: 0, or a number of the call in the upper
// bits and the provider's number below.
constexpr int kProviderBits = 16;
std::atomic<std::uint64_t> inside{0};
std::atomic<const char*> inside_verb{""};
std::uint64_t calls = 0;  // of the loop's thread

std::mutex names_mutex;
std::vector<std::string>& names() {
  static std::vector<std::string> all;
  return all;
}

constexpr int kFrames = 64;
constexpr std::chrono::milliseconds kStackPatience{500};
std::array<void*, kFrames> frames;
std::atomic<int> frame_count{-1};

int stack_signal() { return SIGRTMIN + 5; }

void take_stack(int) { frame_count.store(::backtrace(frames.data(), kFrames), std::memory_order_release); }

std::string describe(void* frame) {
  Dl_info info{};
  if (::dladdr(frame, &info) == 0 || info.dli_fname == nullptr) return fmt::format("{}", frame);
  std::string_view file(info.dli_fname);
  file.remove_prefix(file.rfind('/') + 1);
  if (info.dli_sname == nullptr) return fmt::format("{} +{:#x}", file, static_cast<char*>(frame) - static_cast<char*>(info.dli_fbase));
  int status = 0;
  char* plain = abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status);
  auto text = fmt::format("{} {}", file, plain != nullptr ? plain : info.dli_sname);
  std::free(plain);
  return text;
}

}  // namespace

InsidePlugin::InsidePlugin(int provider, const char* verb) : before_(inside.load(std::memory_order_relaxed)) {
  inside_verb.store(verb, std::memory_order_relaxed);
  inside.store(++calls << kProviderBits | static_cast<std::uint64_t>(provider), std::memory_order_release);
}
InsidePlugin::~InsidePlugin() { inside.store(before_, std::memory_order_relaxed); }

int InsidePlugin::number_of(std::string_view provider) {
  const std::lock_guard lock(names_mutex);
  auto& all = names();
  const auto found = std::find(all.begin(), all.end(), provider);
  const auto number = static_cast<int>(found - all.begin());
  if (found == all.end()) all.emplace_back(provider);
  return number;
}

struct HangWatch::Impl {
  static constexpr int kLooks = 10;  // within the limit: it is exceeded by a tenth at most

  Impl(std::chrono::milliseconds limit, OnHang call) : watched(::pthread_self()), on_hang(std::move(call)) {
    void* first = nullptr;
    (void)::backtrace(&first, 1);  // loads what it needs: not in a signal handler
    struct sigaction action {};
    action.sa_handler = take_stack;
    action.sa_flags = SA_RESTART;
    ::sigaction(stack_signal(), &action, nullptr);
    thread = std::thread([this, every = std::max(limit / kLooks, std::chrono::milliseconds{1})] { look(every); });
  }

  void look(std::chrono::milliseconds every) {
    std::uint64_t last = 0;
    int same = 0;
    std::unique_lock lock(mutex);
    while (!wake.wait_for(lock, every, [this] { return ended; })) {
      const auto now = inside.load(std::memory_order_acquire);
      same = now != 0 && now == last ? same + 1 : 0;
      last = now;
      if (same != kLooks) continue;
      lock.unlock();
      on_hang(hang_of(now));
      lock.lock();
    }
  }

  Hang hang_of(std::uint64_t word) const {
    Hang hang;
    {
      const std::lock_guard lock(names_mutex);
      hang.provider = names().at(word & ((1U << kProviderBits) - 1));
    }
    hang.verb = inside_verb.load(std::memory_order_relaxed);
    frame_count = -1;
    if (::pthread_kill(watched, stack_signal()) != 0) return hang;
    const auto deadline = std::chrono::steady_clock::now() + kStackPatience;
    while (frame_count.load(std::memory_order_acquire) < 0 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    // The first two are the handler and what the kernel called it with.
    for (int i = 2; i < frame_count.load(std::memory_order_acquire); ++i) {
      hang.stack.push_back(describe(frames[static_cast<std::size_t>(i)]));
    }
    return hang;
  }

  const pthread_t watched;
  const OnHang on_hang;
  std::mutex mutex;
  std::condition_variable wake;
  bool ended = false;
  std::thread thread;
};

HangWatch::HangWatch(std::chrono::milliseconds limit, OnHang on_hang) : impl_(std::make_unique<Impl>(limit, std::move(on_hang))) {}

HangWatch::~HangWatch() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->ended = true;
  }
  impl_->wake.notify_all();
  impl_->thread.join();
}

}  // namespace patchbay::plugin
