#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "core/id.hpp"
#include "core/time.hpp"
#include "store/database.hpp"
#include "store/group_commit.hpp"

namespace patchbay::engine {

struct StepRow {
  std::string node;
  std::string status;
  std::string port;
  int attempt = 1;
  std::string input;
  std::string output;
  std::string error;
  Timestamp started;
  std::optional<Timestamp> finished;
  std::optional<Timestamp> next;
};

struct DeadLetter {
  UserId user;
  std::string node;
  std::string reason;
};

// What one run has to make durable at once: results of steps, and how the run stands.
struct RunUpdate {
  RunId run;
  std::vector<StepRow> steps;
  struct Status {
    std::string status;
    Timestamp started;
    std::optional<Timestamp> finished;
    std::string error;
  };
  std::optional<Status> status;
  std::optional<DeadLetter> dead_letter;
  Timestamp now;
};

// A run that was accepted and has not ended, with all that is needed to go on with it.
struct OpenRun {
  RunId id;
  FlowId flow;
  int flow_version = 0;
  UserId user;
  WatchId watch;
  EventId event;
  std::optional<Timestamp> started;
  std::string trigger_node;  // empty when the watch is gone: then the flow's only trigger
  std::string data;          // of the event, JSON
  std::vector<StepRow> steps;
};

// Writes runs and steps through the same group commit as the journal.
class RunStore : public store::GroupCommit::Applier {
 public:
  using Done = std::move_only_function<void(Result<>, RunUpdate)>;  // the update comes back, to be tried again

  explicit RunStore(store::Database& database) : database_(database) {}
  void attach(store::GroupCommit& queue, std::size_t place);

  // done runs on the group commit's executor. Errc::exhausted at once, update untouched, when the queue is full.
  Result<> save(RunUpdate& update, Done done);

  // Oldest first, ids greater than `after`. Blocks.
  Result<std::vector<OpenRun>> load_open(RunId after, int limit);

  Result<> apply(store::Transaction& transaction, std::span<store::GroupCommit::Item* const> items) override;

 private:
  store::Database& database_;
  store::GroupCommit* queue_ = nullptr;
  std::size_t place_ = 0;
};

}  // namespace patchbay::engine
