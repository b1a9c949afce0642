#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>

#include "store/database.hpp"

namespace patchbay::support {

enum class Fault {
  refused,       // the transaction is not made
  answer_lost,   // it is made, and its caller is told that it may not have been
  crash_before,  // it is not made, and nothing works from then on
  crash_after,   // it is made, its caller is not told, and nothing works from then on
  late,          // it is made, after a while in which other things happen
  read_refused,  // not of a write: a read gives nothing
};

// A database of which one call goes wrong, the n-th write (or read) from arm() on. Any thread.
class FaultyDatabase final : public store::Database {
 public:
  explicit FaultyDatabase(std::unique_ptr<store::Database> inner) : inner_(std::move(inner)) {}

  void arm(Fault fault, int call) {
    fault_ = fault;
    left_ = call;
  }
  [[nodiscard]] bool happened() const { return left_ <= 0; }
  // What work does is not counted.
  template <class Work_>
  auto unarmed(Work_ work) {
    const auto left = left_.exchange(1 << 30);
    auto result = work();
    left_ = left;
    return result;
  }

  Result<> write(const store::Work& work) override {
    if (dead_) return gone();
    if (fault_ == Fault::read_refused || --left_ != 0) return inner_->write(work);
    if (fault_ == Fault::late) {
      std::this_thread::sleep_for(kLate);
      return inner_->write(work);
    }
    const bool crash = fault_ == Fault::crash_before || fault_ == Fault::crash_after;
    Result<> done;
    if (fault_ == Fault::answer_lost || fault_ == Fault::crash_after) done = inner_->write(work);
    if (crash) dead_ = true;
    return done ? gone() : done;
  }
  Result<> read(const store::Work& work) override {
    if (dead_ || (fault_ == Fault::read_refused && --left_ == 0)) return gone();
    return inner_->read(work);
  }
  Result<> run_script(std::string_view sql) override { return dead_ ? gone() : inner_->run_script(sql); }
  [[nodiscard]] std::string_view dialect() const override { return inner_->dialect(); }
  [[nodiscard]] bool is_shared() const override { return inner_->is_shared(); }
  Result<store::Space> space() override { return inner_->space(); }
  Result<std::int64_t> shrink(std::int64_t bytes) override { return inner_->shrink(bytes); }
  Result<> compact() override { return inner_->compact(); }
  Result<bool> is_held(std::string_view place) override { return inner_->is_held(place); }

 private:
  static constexpr std::chrono::milliseconds kLate{60};
  static std::unexpected<Error> gone() { return fail(Errc::unavailable, "the database went away"); }

  std::unique_ptr<store::Database> inner_;
  std::atomic<Fault> fault_{Fault::refused};
  std::atomic<int> left_{1 << 30};
  std::atomic<bool> dead_{false};
};

}  // namespace patchbay::support
