#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>

#include <sys/types.h>

#include "core/loop.hpp"
#include "core/metrics.hpp"
#include "core/time.hpp"
#include "egress/http_client.hpp"
#include "plugin/instance.hpp"
#include "plugin/isolation/wire.hpp"
#include "plugin/module.hpp"
#include "plugin/worker.hpp"

namespace patchbay::plugin::isolation {

struct IsolationSettings {
  std::string program;  // patchbay-plugin-process
  std::int64_t memory_bytes = 512 << 20;
  std::chrono::milliseconds start_limit{5'000};
  std::chrono::milliseconds hang_limit{3'000};       // no sign of life for so long while it has tasks: it is killed
  std::chrono::milliseconds first_back_off{100};     // before the second start in a row; doubles
  std::chrono::milliseconds longest_back_off{30'000};
  int crashes_until_quarantine = 5;                  // in a row, without a task that ended in between
  std::string quarantine_folder;                     // the input of the task at the last crash is kept here; empty: it is not
};

// A process that has loaded the plugin and waits for work.
struct StartedProcess {
  pid_t process = 0;
  int socket = -1;
  std::string missing;  // what the kernel lacks for the sandbox
};
// Starts one and waits for its first words. On a thread that may wait, and that lives as long as the process is to: the
// kernel ends it with its thread (PR_SET_PDEATHSIG). Error: one line that says why it does not serve.
[[nodiscard]] Result<StartedProcess> start_process(const IsolationSettings& isolation, const PrivateCopy& copy,
                                                   const InstanceSettings& settings);
void end_process(StartedProcess& started);  // kills and reaps it

// A plugin in a process of its own. Whatever happens there (a crash, a hang, a forbidden call) costs its tasks a retry and
// the host nothing: they end as unavailable, the process is started again after a pause, and after several crashes in a
// row no more, until the plugin is loaded anew. On the loop's thread only; processes are started on starter, which ends first.
class Isolated : public Worker {
 public:
  Isolated(Loop& loop, Executor& starter, const Clock& clock, egress::HttpClient& client, std::shared_ptr<const Manifest> manifest,
           std::shared_ptr<const PrivateCopy> copy, InstanceSettings settings, IsolationSettings isolation, StartedProcess started);
  ~Isolated() override;

  TaskId begin(Call call, Done done) override;
  void cancel(TaskId task) override;
  [[nodiscard]] std::size_t tasks() const override { return task_count_; }
  [[nodiscard]] std::string_view process() const override;
  void retire(Task when_idle) override;
  void cancel_all(const Error& reason) override;

 private:
  struct Work {
    Call call;
    Done done;
    std::set<std::uint64_t> requests;  // the process's handles
    bool sent = false;
  };
  enum class State { serving, starting, pausing, quarantined };

  void attach(StartedProcess started);
  void take(Kind kind, std::string_view content);
  void finish(std::uint64_t task, Outcome outcome);
  void on_outcome(std::uint64_t task, Outcome outcome);
  [[nodiscard]] std::optional<Error> fault_of(const Work& work, const Outcome& outcome) const;
  void on_http(Reader& in);
  void lost();                      // the process is gone, or as good as
  void reap(int tries);
  void ended(const std::string& why);
  void kill(std::string why);
  void restart();
  void restarted(Result<StartedProcess> started);
  void look();                      // a sign of life, while there are tasks
  void arm_look();
  void keep_input(const Work& work, const std::string& why) const;
  void send_work(std::uint64_t task, Work& work);
  void on_hello(Reader& in);

  Loop& loop_;
  Executor& starter_;
  const Clock& clock_;
  egress::HttpClient& client_;
  std::shared_ptr<const Manifest> manifest_;
  std::shared_ptr<const PrivateCopy> copy_;
  InstanceSettings settings_;
  const IsolationSettings isolation_;
  std::atomic<State> state_ = State::serving;
  StartedProcess process_;
  std::unique_ptr<Channel> channel_;
  std::string why_killed_;
  std::map<std::uint64_t, Work> work_;
  std::map<std::uint64_t, egress::HttpClient::Handle> requests_;
  std::atomic<std::size_t> task_count_{0};
  std::uint64_t next_id_;
  int crashes_ = 0;  // in a row
  std::chrono::steady_clock::time_point last_heard_;
  std::uint64_t look_timer_ = 0;
  std::uint64_t pause_timer_ = 0;
  Task when_idle_;
  metrics::Counter restarts_;
  metrics::Counter violations_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace patchbay::plugin::isolation
