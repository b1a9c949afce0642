#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <patchbay/plugin.h>

#include "core/executor.hpp"
#include "core/metrics.hpp"
#include "core/time.hpp"
#include "egress/http_client.hpp"
#include "plugin/module.hpp"
#include "plugin/worker.hpp"

namespace patchbay::plugin {

struct InstanceLimits {
  std::size_t tasks = 10'000;
  std::size_t waits_per_task = 64;
  std::size_t events_per_task = 1000;
  std::size_t event_bytes = 1 << 20;
  std::size_t state_bytes = 64 << 10;
  std::size_t output_bytes = 8 << 20;
};

struct InstanceSettings {
  std::string base_url;
  std::shared_ptr<const std::vector<std::string>> allowed_hosts;
  std::string config_json = R"({"settings":{}})";
  InstanceLimits limits;
  std::uint64_t first_id = 1;  // of its tasks
  // For those who try a plugin: each broken rule and each line that it logs, besides the log and the counters.
  std::function<void(std::string_view rule, std::string_view detail)> on_violation = {};
  std::function<void(std::string_view line)> on_log = {};
};

// A plugin at work: its tasks, and the host's side of the ABI. Every rule of plugin.h is checked here; a plugin that
// breaks one is counted and logged, and loses the task at most. On the loop's thread only.
class Instance : public Worker {
 public:
  // Calls the plugin's create(). The references outlive it.
  [[nodiscard]] static Result<std::unique_ptr<Instance>> create(Executor& loop, const Clock& clock,
                                                                egress::HttpClient& client, const Module& module,
                                                                InstanceSettings settings);
  ~Instance() override;

  TaskId begin(Call call, Done done) override;
  void cancel(TaskId task) override;
  [[nodiscard]] std::size_t tasks() const override { return task_count_; }
  [[nodiscard]] std::string_view process() const override { return "host"; }
  void retire(patchbay::Task when_idle) override;
  void cancel_all(const Error& reason) override;

  // For the extensions (extensions.cpp), which get the pbay_host and nothing else.
  [[nodiscard]] static Instance& of(const pbay_host* host);
  [[nodiscard]] bool in_call() const { return inside_; }
  void violation(std::string_view rule, std::string_view detail);
  // The parsed text. A text that the host owns is parsed once in a call.
  [[nodiscard]] std::shared_ptr<const JsonDocument> parsed(std::string_view text);
  // Keeps text until the plugin returns.
  pbay_str keep(std::string text);
  // The secret behind a reference of the present task; nothing when it is none.
  [[nodiscard]] const Secret* secret_of(std::string_view reference) const;

 private:
  struct Task;
  struct Wait;
  using TaskPointer = std::shared_ptr<Task>;

  Instance(Executor& loop, const Clock& clock, egress::HttpClient& client, const Module& module,
           InstanceSettings settings);

  template <class Enter>
  void enter(const TaskPointer& task, Enter enter);
  void call_verb(Task& task);
  void after_call(const TaskPointer& task);
  void end(const TaskPointer& task);
  void arm_deadline(const TaskPointer& task);
  void cancel_task(TaskPointer task, Error reason);  // by value: its place in the table goes meanwhile
  void answer(std::uint64_t wait, pbay_status status, Result<egress::HttpReply>* reply);
  [[nodiscard]] TaskPointer find(std::uint64_t id);

  static void on_log(const pbay_host* host, std::uint64_t task, std::uint32_t level, pbay_str text);
  static void on_metric(const pbay_host* host, pbay_str name, double value);
  static pbay_status on_emit(const pbay_host* host, std::uint64_t task, const pbay_event* event);
  static pbay_status on_forward(const pbay_host* host, std::uint64_t task, pbay_str route);
  static pbay_status on_finish(const pbay_host* host, std::uint64_t task, const pbay_result* result);
  static pbay_status on_http(const pbay_host* host, std::uint64_t task, std::uint64_t tag, const pbay_http* request);
  static pbay_status on_sleep(const pbay_host* host, std::uint64_t task, std::uint64_t tag, std::int64_t ms);
  static pbay_status on_connect(const pbay_host* host, std::uint64_t task, const pbay_http* where);
  static pbay_status on_send(const pbay_host* host, std::uint64_t task, const pbay_frame* frame);
  static const void* on_extension(const pbay_host* host, pbay_str id);

  pbay_status accept_event(Task& task, const pbay_event& event);
  pbay_status accept_result(Task& task, const pbay_result& result);
  pbay_status start_http(const TaskPointer& task, std::uint64_t tag, const pbay_http& request);

  // What the plugin holds: its first member, so that a pbay_host leads back to its instance.
  struct HostTable {
    pbay_host functions;
    Instance* owner;
  };
  HostTable host_;
  Executor& loop_;
  const Clock& clock_;
  egress::HttpClient& client_;
  const Module& module_;
  InstanceSettings settings_;
  void* self_ = nullptr;
  bool inside_ = false;
  const Task* current_ = nullptr;
  const int number_;  // for the HangWatch
  std::uint64_t next_id_;
  patchbay::Task when_idle_;  // of one that is retired
  std::unordered_map<std::uint64_t, TaskPointer> tasks_;
  std::atomic<std::size_t> task_count_{0};
  std::unordered_map<std::uint64_t, Wait> waits_;
  std::deque<std::string> scratch_;
  std::vector<std::pair<std::string_view, std::shared_ptr<const JsonDocument>>> documents_;  // of the present call
  std::vector<std::shared_ptr<const JsonDocument>> scratch_documents_;  // that handed-out text points into
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::array<std::array<metrics::Counter, 2>, 6> counted_;  // by verb, by failed
  metrics::Counter violations_;
};

// The table of an extension, or nullptr.
[[nodiscard]] const void* extension_table(std::string_view id);

}  // namespace patchbay::plugin
