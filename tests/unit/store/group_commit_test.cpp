#include "store/group_commit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "core/metrics.hpp"

namespace patchbay::store {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

// Keeps posts until the test runs them.
class Posts final : public Executor {
 public:
  void post(Task task) override {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    changed_.notify_all();
  }
  std::uint64_t after(std::chrono::milliseconds, Task) override { return 0; }
  void cancel(std::uint64_t) override {}

  // Waits until there is one, runs it.
  void run_one() {
    Task task;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !tasks_.empty(); });
      task = std::move(tasks_.front());
      tasks_.erase(tasks_.begin());
    }
    task();
  }
  std::size_t waiting() {
    const std::lock_guard lock(mutex_);
    return tasks_.size();
  }

 private:
  std::mutex mutex_;  // guards tasks_
  std::condition_variable changed_;
  std::vector<Task> tasks_;
};

// Items are words, "committed" when the transaction that wrote them was.
class WordDatabase final : public Database, public GroupCommit::Applier {
 public:
  struct Word final : GroupCommit::Item {
    Word(std::string text_, std::vector<std::string>& told_) : text(std::move(text_)), told(told_) {}
    std::size_t bytes() const override { return text.size(); }
    void finished(Result<> result) override {
      told.push_back(text + (result ? "" : ":" + std::string(name_of(result.error().code))));
    }
    std::string text;
    std::vector<std::string>& told;
  };

  Result<> write(const Work& work) override {
    std::unique_lock lock(mutex_);
    ++transactions_;
    waiting_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !held_; });
    waiting_ = false;
    written_.clear();
    if (full_) return fail(Errc::exhausted, "the disk is full");
    auto done = work(transaction_);
    if (done) batches.push_back(written_);
    return done;
  }
  Result<> read(const Work&) override { return {}; }
  Result<> run_script(std::string_view) override { return {}; }
  std::string_view dialect() const override { return "sqlite"; }
  bool is_shared() const override { return false; }
  Result<bool> is_held(std::string_view) override { return false; }
  Result<Space> space() override { return Space{}; }
  Result<std::int64_t> shrink(std::int64_t) override { return 0; }
  Result<> compact() override { return {}; }

  Result<> apply(Transaction&, std::span<GroupCommit::Item* const> items) override {
    for (auto* item : items) {
      const auto& text = static_cast<Word&>(*item).text;
      if (bad_.contains(text)) return fail(Errc::conflict, "bad word");
      written_.push_back(text);
    }
    return {};
  }

  void hold() {
    const std::lock_guard lock(mutex_);
    held_ = true;
  }
  void let_go() {
    const std::lock_guard lock(mutex_);
    held_ = false;
    changed_.notify_all();
  }
  void wait_until_in_commit() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return waiting_; });
  }
  void set_full(bool full) {
    const std::lock_guard lock(mutex_);
    full_ = full;
  }
  void refuse(std::string word) { bad_.insert(std::move(word)); }
  int transactions() {
    const std::lock_guard lock(mutex_);
    return transactions_;
  }

  std::vector<std::vector<std::string>> batches;  // read when nothing is queued

 private:
  class Nothing final : public Transaction {
    Result<std::int64_t> execute(std::string_view, std::span<const Param>, const OnRow&) override { return 0; }
    Result<std::int64_t> execute_many(std::string_view, std::size_t, std::span<const Param>, const OnRow&) override {
      return 0;
    }
    Result<> announce() override { return {}; }
  };

  std::mutex mutex_;  // guards the flags and counters
  std::condition_variable changed_;
  bool held_ = false;
  bool waiting_ = false;
  bool full_ = false;
  int transactions_ = 0;
  Nothing transaction_;
  std::set<std::string> bad_;
  std::vector<std::string> written_;
};

class GroupCommitTest : public testing::Test {
 protected:
  void start(GroupCommit::Limits limits = {}) {
    commit_ = std::make_unique<GroupCommit>(database_, posts_, std::vector<GroupCommit::Applier*>{&database_}, limits);
  }
  Result<> submit(std::string word) {
    std::unique_ptr<GroupCommit::Item> item = std::make_unique<WordDatabase::Word>(std::move(word), told_);
    return commit_->submit(0, item);
  }
  // One word is in commit and stays there, so that the next ones gather.
  void gather(std::initializer_list<const char*> words) {
    database_.hold();
    ASSERT_TRUE(submit("first"));
    database_.wait_until_in_commit();
    for (const auto* word : words) ASSERT_TRUE(submit(word));
    database_.let_go();
    posts_.run_one();
  }

  Posts posts_;
  WordDatabase database_;
  std::vector<std::string> told_;
  std::unique_ptr<GroupCommit> commit_;
};

TEST_F(GroupCommitTest, CommitsTogetherWhatGatheredMeanwhile) {
  start();
  gather({"a", "b", "c"});
  posts_.run_one();
  EXPECT_THAT(told_, ElementsAre("first", "a", "b", "c"));
  EXPECT_EQ(posts_.waiting(), 0U) << "one post a batch";
  commit_.reset();
  EXPECT_THAT(database_.batches, ElementsAre(ElementsAre("first"), ElementsAre("a", "b", "c")));
}

TEST_F(GroupCommitTest, TellsOnTheExecutorOnly) {
  start();
  ASSERT_TRUE(submit("a"));
  commit_.reset();  // it has committed by now
  EXPECT_TRUE(told_.empty());
  posts_.run_one();
  EXPECT_THAT(told_, ElementsAre("a"));
}

TEST_F(GroupCommitTest, TakesNoMoreThanABatchAtOnce) {
  start({.items = 100, .bytes = 1000, .batch = 2});
  gather({"a", "b", "c"});
  posts_.run_one();
  posts_.run_one();
  commit_.reset();
  EXPECT_THAT(database_.batches, ElementsAre(ElementsAre("first"), ElementsAre("a", "b"), ElementsAre("c")));
}

TEST_F(GroupCommitTest, CommitsWhatIsQueuedBeforeItGoes) {
  start();
  database_.hold();
  ASSERT_TRUE(submit("first"));
  database_.wait_until_in_commit();
  ASSERT_TRUE(submit("a"));
  std::thread opener([this] { database_.let_go(); });
  commit_.reset();
  opener.join();
  EXPECT_THAT(database_.batches, ElementsAre(ElementsAre("first"), ElementsAre("a")));
}

TEST_F(GroupCommitTest, LetsABadItemFailAlone) {
  database_.refuse("c");
  database_.refuse("f");
  start();
  gather({"a", "b", "c", "d", "e", "f", "g"});
  posts_.run_one();
  EXPECT_THAT(told_, ElementsAre("first", "a", "b", "c:conflict", "d", "e", "f:conflict", "g"));
}

TEST_F(GroupCommitTest, TellsEveryoneOfAFullDiskAndGoesOn) {
  start();
  database_.set_full(true);
  gather({"a", "b", "c"});
  posts_.run_one();
  EXPECT_THAT(told_, ElementsAre("first:exhausted", "a:exhausted", "b:exhausted", "c:exhausted"));
  EXPECT_EQ(database_.transactions(), 2) << "nobody tries each of them against a full disk";
  database_.set_full(false);
  ASSERT_TRUE(submit("d"));
  posts_.run_one();
  EXPECT_EQ(told_.back(), "d");
}

TEST_F(GroupCommitTest, RefusesMoreItemsThanItsLimit) {
  start({.items = 3, .bytes = 1000, .batch = 10});
  database_.hold();
  ASSERT_TRUE(submit("first"));
  database_.wait_until_in_commit();
  ASSERT_TRUE(submit("a"));
  ASSERT_TRUE(submit("b"));
  EXPECT_EQ(commit_->pending(), 3U) << "what is in commit counts too";
  std::unique_ptr<GroupCommit::Item> item = std::make_unique<WordDatabase::Word>("c", told_);
  const auto refused = commit_->submit(0, item);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::exhausted);
  EXPECT_NE(item, nullptr) << "it comes back";
  database_.let_go();
  posts_.run_one();
  posts_.run_one();
  EXPECT_EQ(commit_->pending(), 0U);
  EXPECT_TRUE(commit_->submit(0, item));
  posts_.run_one();
  EXPECT_THAT(told_, ElementsAre("first", "a", "b", "c"));
}

TEST_F(GroupCommitTest, RefusesMoreBytesThanItsLimitButNeverALoneItem) {
  start({.items = 100, .bytes = 10, .batch = 10});
  database_.hold();
  ASSERT_TRUE(submit("a word longer than ten bytes"));
  database_.wait_until_in_commit();
  EXPECT_EQ(submit("b").error().code, Errc::exhausted);
  database_.let_go();
  posts_.run_one();
  EXPECT_TRUE(submit("b"));
  posts_.run_one();
  EXPECT_THAT(told_, ElementsAre("a word longer than ten bytes", "b"));
}

TEST_F(GroupCommitTest, RefusesAnApplierThatIsNone) {
  start();
  std::unique_ptr<GroupCommit::Item> item = std::make_unique<WordDatabase::Word>("a", told_);
  EXPECT_EQ(commit_->submit(1, item).error().code, Errc::internal);
}

TEST_F(GroupCommitTest, TakesItemsFromManyThreads) {
  start();
  constexpr int kThreads = 8;
  constexpr int kEach = 200;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kEach; ++n) EXPECT_TRUE(submit("w"));
    });
  }
  for (auto& thread : threads) thread.join();
  commit_.reset();
  while (posts_.waiting() > 0) posts_.run_one();
  EXPECT_THAT(told_, SizeIs(kThreads * kEach));
}

TEST_F(GroupCommitTest, CountsItsBatchesAndItems) {
  const auto batches = metrics::counter("patchbay_commit_batches_total", "");
  const auto items = metrics::counter("patchbay_commit_items_total", "");
  const double batches_before = batches.value();
  const double items_before = items.value();
  start();
  gather({"a", "b"});
  posts_.run_one();
  commit_.reset();
  EXPECT_EQ(batches.value() - batches_before, 2);
  EXPECT_EQ(items.value() - items_before, 3);
  EXPECT_EQ(metrics::gauge("patchbay_commit_queue", "").value(), 0);
  EXPECT_THAT(metrics::exposition(), testing::HasSubstr("patchbay_commit_seconds_count"));
}

}  // namespace
}  // namespace patchbay::store
