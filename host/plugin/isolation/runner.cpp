#include "plugin/isolation/runner.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <map>

#include "core/log.hpp"
#include "core/loop.hpp"
#include "plugin/isolation/messages.hpp"
#include "plugin/isolation/sandbox.hpp"
#include "plugin/module.hpp"

namespace patchbay::plugin::isolation {
namespace {

constexpr std::chrono::milliseconds kFirstWords{5'000};

// What the plugin asks for, asked of the host.
class HostClient : public egress::HttpClient {
 public:
  explicit HostClient(Channel& channel) : channel_(channel) {}

  Handle send(egress::HttpRequest request, Done done) override {
    Asked asked;
    asked.handle = ++last_;
    asked.account = task_of(request.connection);
    if (!request.expansions.empty()) {
      const auto& [reference, secret] = request.expansions.front();
      asked.reference = reference;
      const auto number = secret.reveal();
      std::from_chars(number.data(), number.data() + number.size(), asked.secret);
    }
    asked.request = std::move(request);
    waiting_.emplace(asked.handle, std::move(done));
    channel_.send(encode(asked));
    return asked.handle;
  }

  // The host answers this, too, as cancelled.
  void cancel(Handle handle) override { channel_.send(Writer(Kind::http_cancel).number(static_cast<std::int64_t>(handle)).take()); }

  void answered(Answered answer) {
    auto node = waiting_.extract(answer.handle);
    if (!node.empty()) node.mapped()(std::move(answer.reply));
  }

 private:
  Channel& channel_;
  Handle last_ = 0;
  std::map<Handle, Done> waiting_;
};

// The host's time, as it stood when it last said something; between its words it goes on by itself.
class HostClock : public Clock {
 public:
  [[nodiscard]] Timestamp now() const override {
    if (listening_) return said_;
    return said_ + std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - at_);
  }
  void listen(Timestamp said) {
    said_ = said;
    at_ = std::chrono::steady_clock::now();
    listening_ = true;
  }
  void heard() { listening_ = false; }

 private:
  Timestamp said_ = system_clock().now();
  std::chrono::steady_clock::time_point at_ = std::chrono::steady_clock::now();
  bool listening_ = false;
};

class Process {
 public:
  Process(int socket, StartSettings settings) : settings_(std::move(settings)), channel_(loop_.context(), socket), client_(channel_) {}

  Result<> load() {
    auto module = load_module(settings_.file, Mapping::kept);
    if (!module) return std::unexpected(module.error());
    module_ = *std::move(module);
    InstanceSettings made;
    made.base_url = settings_.base_url;
    made.config_json = settings_.config_json;
    made.limits = settings_.limits;
    made.on_log = [this](std::string_view line) { channel_.send(Writer(Kind::log).text(line).take()); };
    made.on_violation = [this](std::string_view rule, std::string_view detail) {
      channel_.send(Writer(Kind::violation).text(rule).text(detail).take());
    };
    auto instance = Instance::create(loop_, clock_, client_, module_, std::move(made));
    if (!instance) return std::unexpected(instance.error());
    instance_ = *std::move(instance);
    return {};
  }

  void serve() {
    channel_.start([this](Kind kind, std::string_view content) { take(kind, content); }, [this] { loop_.stop(); });
    loop_.run();
    instance_.reset();
  }

 private:
  void take(Kind kind, std::string_view content) {
    Reader in(content);
    switch (kind) {
      case Kind::begin:
        begin(decode_begin(in));
        return clock_.heard();
      case Kind::cancel: {
        const auto found = tasks_.find(static_cast<std::uint64_t>(in.number()));
        if (found != tasks_.end()) instance_->cancel(found->second);
        return;
      }
      case Kind::reply:
        answered(decode_reply(in));
        return clock_.heard();
      case Kind::ping:
        return channel_.send(Writer(Kind::pong).take());
      case Kind::quit:
        return loop_.stop();
      default:
        return;
    }
  }

  void answered(Answered answer) {
    clock_.listen(answer.now);
    client_.answered(std::move(answer));
  }

  void begin(Begin wanted) {
    clock_.listen(wanted.now);
    const auto task = wanted.task;
    tasks_[task] = 0;
    const auto begun = instance_->begin(std::move(wanted.call), [this, task](Outcome outcome) {
      tasks_.erase(task);
      channel_.send(encode(task, outcome));
    });
    if (const auto found = tasks_.find(task); found != tasks_.end()) found->second = begun;
  }

  StartSettings settings_;
  Loop loop_;
  HostClock clock_;
  Channel channel_;
  HostClient client_;
  Module module_;
  std::unique_ptr<Instance> instance_;
  std::map<std::uint64_t, Provider::TaskId> tasks_;  // the host's numbers, and the instance's
};

std::string hello(const std::string& failure, const std::vector<std::string>& missing) {
  std::string list;
  for (const auto& one : missing) list += (list.empty() ? "" : ", ") + one;
  return Writer(Kind::hello).text(failure).text(list).take();
}

}  // namespace

int run_plugin_process(int socket) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_DUMPABLE, 0);
  log::Settings quiet;
  quiet.level = log::Level::off;  // what is to be said goes to the host
  log::configure(quiet);
  const auto first = read_frame(socket, kFirstWords);
  if (!first || first->empty() || static_cast<Kind>(first->front()) != Kind::settings) return 1;
  Reader in(std::string_view(*first).substr(1));
  const auto settings = decode_settings(in);
  // Everything that needs files of its own is made before the doors close.
  Process process(::dup(socket), settings);
  const SandboxLimits limits{static_cast<std::size_t>(std::max<std::int64_t>(settings.memory_bytes, 0))};
  const auto missing = restrict_before_loading(limits, std::filesystem::path(settings.file).parent_path());
  const auto loaded = missing ? process.load() : Result<>(std::unexpected(missing.error()));
  const auto closed = loaded ? restrict_after_loading(socket) : loaded;
  const auto said = write_frame(socket, hello(closed ? "" : closed.error().message, missing.value_or(std::vector<std::string>{})));
  if (!closed || !said) return 1;
  process.serve();
  // No destructors of a plugin that may be anybody's, no exit handlers.
  ::_exit(0);
}

}  // namespace patchbay::plugin::isolation
