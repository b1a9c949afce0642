#include <dirent.h>
#include <malloc.h>

#include <fmt/format.h>

#include "kit/rules.hpp"

// Of the sanitizers' runtimes, where one is there.
extern "C" std::size_t __sanitizer_get_current_allocated_bytes() __attribute__((weak));

namespace patchbay::kit::rule {
namespace {

using plugin::Verb;

constexpr std::chrono::milliseconds kPromptly{50};

// All operations in one instance, each played and each cut off in the middle, and the instance's end.
void live_once(Subject& subject, const std::vector<Operation>& operations) {
  for (const auto& operation : operations) {
    auto trial = subject.trial_for(operation);
    subject.script(*trial, operation);
    trial->run(subject.call(*trial, operation));
    trial->client.answer = nullptr;
    auto outcome = std::make_shared<std::optional<plugin::Outcome>>();
    const auto task = trial->begin(subject.call(*trial, operation), outcome);
    trial->cancel(task);
  }
}

std::size_t memory_in_use() {
  if (__sanitizer_get_current_allocated_bytes != nullptr) return __sanitizer_get_current_allocated_bytes();
  const auto info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

std::size_t entries_of(const char* folder) {
  std::size_t count = 0;
  DIR* const opened = ::opendir(folder);
  if (opened == nullptr) return 0;
  while (::readdir(opened) != nullptr) ++count;
  ::closedir(opened);
  return count;
}

void leaves_entries(Subject& subject, const char* folder, std::string_view what) {
  const auto operations = subject.operations();
  subject.trial();
  const auto before = entries_of(folder);
  for (int round = 0; round < 3; ++round) live_once(subject, operations);
  const auto after = entries_of(folder);
  if (after > before) subject.found("after destroy()", fmt::format("{} more {} than before", after - before, what));
}

}  // namespace

void create(Subject& subject) {
  auto first = subject.trial();
  auto second = subject.trial();
  first.reset();
  subject.trial();
  second.reset();
  subject.trial();
}

void exceptions(Subject& subject) {
  for (const auto& operation : subject.operations()) {
    try {
      subject.play(operation);
    } catch (const Subject::Ended&) {
      throw;
    } catch (const std::exception& error) {
      return subject.found(operation.where, fmt::format("an exception left it: {}", error.what()));
    } catch (...) {
      return subject.found(operation.where, "an exception left it");
    }
  }
}

void answers(Subject& subject) {
  for (const auto& operation : subject.operations()) {
    const auto played = subject.play(operation);
    if (!played.outcome) {
      subject.found(operation.where, "it did not end");
    } else if (played.outcome->status == PBAY_E_UNSUPPORTED) {
      subject.found(operation.where, "it ends with PBAY_E_UNSUPPORTED, though the manifest offers it");
    }
  }
}

void contract(Subject& subject) {
  for (const auto& operation : subject.operations()) {
    const auto played = subject.play(operation);
    for (const auto& [what, detail] : played.trial->violations) {
      subject.found(operation.where, fmt::format("{}: {}", what, detail));
    }
  }
}

void prompt(Subject& subject) {
  for (const auto& operation : subject.operations()) {
    auto shortest = std::chrono::milliseconds::max();
    for (int round = 0; round < 3; ++round) shortest = std::min(shortest, subject.play(operation).trial->longest_call());
    if (shortest >= kPromptly) subject.found(operation.where, fmt::format("a call took {} ms", shortest.count()));
  }
}

// What grows in each of two windows grows for ever.
void memory(Subject& subject) {
  constexpr int kRounds = 25;
  const auto operations = subject.operations();
  const auto window = [&] {
    const auto before = memory_in_use();
    for (int round = 0; round < kRounds; ++round) live_once(subject, operations);
    const auto after = memory_in_use();
    return after > before ? (after - before) / kRounds : 0;
  };
  for (int round = 0; round < kRounds; ++round) live_once(subject, operations);  // until the allocator has what it keeps
  const auto leak = std::min(window(), window());
  if (leak >= 8) subject.found("after destroy()", fmt::format("{} bytes are lost each time", leak));
}

void threads(Subject& subject) { leaves_entries(subject, "/proc/self/task", "threads"); }

void descriptors(Subject& subject) { leaves_entries(subject, "/proc/self/fd", "descriptors"); }

// Cut off where it waits for the provider: at the first request, and at the deadline.
void cancellation(Subject& subject) {
  for (const auto& operation : subject.operations()) {
    for (const bool at_deadline : {false, true}) {
      auto trial = subject.trial_for(operation);
      auto outcome = std::make_shared<std::optional<plugin::Outcome>>();
      auto call = subject.call(*trial, operation);
      const auto deadline = call.deadline;
      const auto task = trial->begin(std::move(call), outcome);
      if (*outcome) break;  // it waits for nothing
      if (at_deadline) {
        while (!*outcome && trial->time.step_until(deadline + std::chrono::seconds{1})) {
        }
      } else {
        trial->cancel(task);
      }
      if (!*outcome) {
        subject.found(operation.where, at_deadline ? "it does not end at its deadline" : "it does not end when it is cancelled");
      } else if (!(*outcome)->error) {
        subject.found(operation.where, "it was cancelled and says that it was done");
      } else if ((*outcome)->status == 0) {
        subject.found(operation.where, "its wait was answered with PBAY_E_CANCELLED and it did not call finish()");
      }
      for (const auto& [what, detail] : trial->violations) subject.found(operation.where, fmt::format("{}: {}", what, detail));
    }
  }
}

}  // namespace patchbay::kit::rule
