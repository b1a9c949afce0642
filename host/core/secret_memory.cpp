#include "core/secret_memory.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <mutex>
#include <new>

#include <sodium.h>
#include <sys/mman.h>

namespace patchbay {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kChunk = 64 << 10;
constexpr std::size_t kSmallest = 32;
constexpr std::size_t kLargestShared = 4096;
constexpr std::size_t kClasses = 8;  // 32, 64, … 4096

char* map_pages(std::size_t bytes) {
  void* pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  // Neither is a condition: without them secrets are as safe as all other memory.
  (void)::madvise(pages, bytes, MADV_DONTDUMP);
  (void)::mlock(pages, bytes);
  return static_cast<char*>(pages);
}

std::size_t whole_pages(std::size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

std::size_t class_of(std::size_t bytes) {
  const auto room = std::bit_ceil(std::max(bytes, kSmallest));
  return static_cast<std::size_t>(std::countr_zero(room) - std::countr_zero(kSmallest));
}

// A list of free pieces for each power of two. Chunks are never given back: as many will be wanted again.
class Pieces {
 public:
  char* take(std::size_t which) {
    const std::lock_guard lock(mutex_);
    if (free_[which] == nullptr) cut(which);
    auto* piece = free_[which];
    free_[which] = piece->next;
    return reinterpret_cast<char*>(piece);
  }
  void give(char* memory, std::size_t which) noexcept {
    const std::lock_guard lock(mutex_);
    free_[which] = new (memory) Free{free_[which]};
  }

 private:
  struct Free {
    Free* next;
  };

  void cut(std::size_t which) {
    const auto size = kSmallest << which;
    char* chunk = map_pages(kChunk);
    for (std::size_t at = 0; at < kChunk; at += size) free_[which] = new (chunk + at) Free{free_[which]};
  }

  std::mutex mutex_;  // guards free_
  std::array<Free*, kClasses> free_{};
};

// Never destroyed: secrets of static objects go after it would.
Pieces& pieces() {
  static auto* all = new Pieces;
  return *all;
}

}  // namespace

char* allocate_secret(std::size_t bytes) {
  return bytes > kLargestShared ? map_pages(whole_pages(bytes)) : pieces().take(class_of(bytes));
}

void free_secret(char* memory, std::size_t bytes) noexcept {
  sodium_memzero(memory, bytes);
  if (bytes > kLargestShared) {
    ::munmap(memory, whole_pages(bytes));
    return;
  }
  pieces().give(memory, class_of(bytes));
}

}  // namespace patchbay
