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
  std::vector<DeadLetter> dead_letters;
  std::optional<Timestamp> free_at;  // this host gives the run up; whoever has room goes on with it then
  ConnectionId waits_for;            // with free_at: or sooner, when this connection is active again
  std::string lane;                  // of a run that ends or waits for a person: the next one of its lane may begin
  int lane_width = 0;
  Timestamp now;
  bool over = false;  // set by the commit: the run had ended before, by somebody else's hand
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
  bool interrupted = false;  // its host died: what it had begun is not known
  std::string lane;          // empty: none
  int lane_width = 0;
  std::vector<StepRow> steps;
};

// What a claim brought.
struct Claimed {
  std::vector<OpenRun> runs;
  [[nodiscard]] bool has_held_runs() const;  // that rested for a connection
  std::optional<Timestamp> next;  // when the next one is due that nobody has
};

// Writes runs and steps through the same group commit as the journal.
class RunStore : public store::GroupCommit::Applier {
 public:
  using Done = std::move_only_function<void(Result<>, RunUpdate)>;  // the update comes back, to be tried again

  // host: the id of this one.
  RunStore(store::Database& database, std::string host) : database_(database), host_(std::move(host)) {}
  void attach(store::GroupCommit& queue, std::size_t place);

  // done runs on the group commit's executor. Errc::exhausted at once, update untouched, when the queue is full.
  Result<> save(RunUpdate& update, Done done);

  // Takes runs that nobody has and that are due, the longest due first, at most so many; none of the flows `full`. Blocks.
  Result<Claimed> claim(Timestamp now, int limit, const std::vector<FlowId>& full);
  // Has those go on at once that rest for this connection. Blocks.
  Result<> wake(ConnectionId connection, Timestamp now);
  // The open runs that this host has. Blocks.
  Result<std::vector<RunId>> own();
  // Gives up those of them that it does not know. Blocks.
  Result<> give_up(const std::vector<RunId>& runs, Timestamp now);
  // Lets lanes go on in which nobody saw the place that came free: two hosts may miss each other. True: one did. Blocks.
  Result<bool> open_stuck_lanes(Timestamp now);

  Result<> apply(store::Transaction& transaction, std::span<store::GroupCommit::Item* const> items) override;

 private:
  store::Database& database_;
  const std::string host_;
  store::GroupCommit* queue_ = nullptr;
  std::size_t place_ = 0;
};

}  // namespace patchbay::engine
