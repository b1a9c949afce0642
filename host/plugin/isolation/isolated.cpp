#include "plugin/isolation/isolated.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/log.hpp"
#include "plugin/isolation/messages.hpp"

#include <seccomp.h>

extern char** environ;

namespace patchbay::plugin::isolation {
namespace {

constexpr std::chrono::milliseconds kLookEvery{500};
constexpr std::chrono::seconds kGrace{2};  // after a task's deadline, before the host ends it itself
constexpr std::size_t kLogLine = 8 << 10;
constexpr int kSocketInChild = 3;

StartSettings start_settings(const IsolationSettings& isolation, const PrivateCopy& copy, const InstanceSettings& settings) {
  return {copy.path(), settings.base_url, settings.config_json, settings.limits, isolation.memory_bytes};
}

// The process, told what it is to load; it has not answered yet.
Result<StartedProcess> spawn_process(const IsolationSettings& isolation, const PrivateCopy& copy, const InstanceSettings& settings) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return fail(Errc::unavailable, "no socket for the plugin's process");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, ends[1], kSocketInChild);
  posix_spawn_file_actions_addclosefrom_np(&actions, kSocketInChild + 1);  // none of the host's sockets and files
  auto program = isolation.program;
  std::array<char*, 2> arguments{program.data(), nullptr};
  // Nothing of the host's environment, where secrets may be, but what sanitizers and the loader read.
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (text.starts_with("ASAN_OPTIONS=") || text.starts_with("TSAN_OPTIONS=") || text.starts_with("UBSAN_OPTIONS=") || text.starts_with("LD_LIBRARY_PATH=")) environment.push_back(*entry);
  }
  environment.push_back(nullptr);
  StartedProcess started;
  const int failed = ::posix_spawn(&started.process, program.c_str(), &actions, nullptr, arguments.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  started.socket = ends[0];
  if (failed != 0) {
    ::close(started.socket);
    return fail(Errc::unavailable, fmt::format("the plugin's process, {}, cannot be started: {}", program, std::strerror(failed)));
  }
  if (auto told = write_frame(started.socket, encode(start_settings(isolation, copy, settings))); !told) {
    end_process(started);
    return std::unexpected(told.error());
  }
  return started;
}

std::string signal_text(int status) {
  if (WIFSIGNALED(status)) return fmt::format("it was killed by: {}", ::strsignal(WTERMSIG(status)));
  return fmt::format("it ended with {}", WEXITSTATUS(status));
}

std::string call_name(std::int64_t number) {
  char* name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, static_cast<int>(number));
  std::string text = name == nullptr ? std::to_string(number) : name;
  std::free(name);
  return text;
}

}  // namespace

void end_process(StartedProcess& started) {
  if (started.socket >= 0) ::close(std::exchange(started.socket, -1));
  if (started.process <= 0) return;
  ::kill(started.process, SIGKILL);
  ::waitpid(std::exchange(started.process, 0), nullptr, 0);
}

Result<StartedProcess> start_process(const IsolationSettings& isolation, const PrivateCopy& copy, const InstanceSettings& settings) {
  auto started = spawn_process(isolation, copy, settings);
  if (!started) return started;
  std::string why;
  for (int frames = 0; frames < 1000; ++frames) {
    const auto frame = read_frame(started->socket, isolation.start_limit);
    if (!frame) {
      why = frame.error().message;
      break;
    }
    Reader in(std::string_view(*frame).substr(1));
    const auto kind = static_cast<Kind>(frame->front());
    if (kind == Kind::denied) {
      why = fmt::format("its code calls {}() when it is loaded, which the sandbox does not allow", call_name(in.number()));
      break;
    }
    if (kind == Kind::log) why += std::string(in.text()) + "; ";
    if (kind != Kind::hello) continue;
    const auto failure = in.text();
    started->missing = in.text();
    if (failure.empty() && in.good()) return started;
    why += failure;
    break;
  }
  int status = 0;
  const bool gone = ::waitpid(started->process, &status, WNOHANG) == started->process;
  if (gone) {
    started->process = 0;
    if (WIFSIGNALED(status)) why = signal_text(status);
  }
  end_process(*started);
  return fail(Errc::invalid, "in a process of its own: " + why);
}

Isolated::Isolated(Loop& loop, Executor& starter, const Clock& clock, egress::HttpClient& client, std::shared_ptr<const Manifest> manifest,
                   std::shared_ptr<const PrivateCopy> copy, InstanceSettings settings, IsolationSettings isolation, StartedProcess started)
    : loop_(loop), starter_(starter), clock_(clock), client_(client), manifest_(std::move(manifest)), copy_(std::move(copy)), settings_(std::move(settings)),
      isolation_(std::move(isolation)), next_id_(settings_.first_id) {
  restarts_ = metrics::counter("patchbay_plugin_process_restarts_total", "Starts of plugins' own processes after their end", {{"provider", manifest_->id}});
  violations_ = metrics::counter("patchbay_plugin_violations_total", "Rules of the ABI that a plugin broke", {{"provider", manifest_->id}});
  if (!started.missing.empty()) log::warn("plugin", "{}: this kernel does not have {}: its process is shut in less", manifest_->id, started.missing);
  attach(std::move(started));
}

Isolated::~Isolated() {
  *alive_ = false;
  if (look_timer_ != 0) loop_.cancel(look_timer_);
  if (pause_timer_ != 0) loop_.cancel(pause_timer_);
  if (channel_) channel_->close();
  end_process(process_);
  cancel_all({Errc::cancelled, "the plugin is shut down"});
}

std::string_view Isolated::process() const {
  const State state = state_;
  if (state == State::serving) return "own";
  return state == State::quarantined ? "quarantined" : "starting";
}

void Isolated::attach(StartedProcess started) {
  process_ = std::move(started);
  channel_ = std::make_unique<Channel>(loop_.context(), std::exchange(process_.socket, -1));
  channel_->start([this](Kind kind, std::string_view content) { take(kind, content); },
                  // Posted: the channel is still on the stack.
                  [this, alive = alive_] { loop_.post([this, alive] { if (*alive) lost(); }); });
  last_heard_ = std::chrono::steady_clock::now();
}

Isolated::TaskId Isolated::begin(Call call, Done done) {
  const auto task = next_id_++;
  if (call.deadline == Timestamp{}) call.deadline = clock_.now() + std::chrono::seconds{30};
  if (state_ == State::quarantined || work_.size() >= settings_.limits.tasks) {
    Outcome refused;
    refused.error = state_ == State::quarantined
                        ? Error{Errc::unavailable, fmt::format("{} is in quarantine after {} crashes: load it anew", manifest_->id, crashes_)}
                        : Error{Errc::exhausted, manifest_->id + " has too many tasks under way"};
    done(std::move(refused));
    return task;
  }
  auto& work = work_[task];
  work.call = std::move(call);
  work.done = std::move(done);
  task_count_ = work_.size();
  if (state_ == State::serving) send_work(task, work);
  arm_look();
  return task;
}

// What the process may know of the secret: that there is one; its bytes only where the plugin itself has to check with it.
void Isolated::send_work(std::uint64_t task, Work& work) {
  using Scheme = VerificationScheme::Kind;
  const bool checks_itself = work.call.verb == Verb::webhook && manifest_->verification.kind == Scheme::custom;
  if (work_.size() == 1) last_heard_ = std::chrono::steady_clock::now();
  work.sent = true;
  channel_->send(encode(task, work.call, checks_itself, clock_.now()));
}

void Isolated::take(Kind kind, std::string_view content) {
  last_heard_ = std::chrono::steady_clock::now();
  Reader in(content);
  switch (kind) {
    case Kind::hello:
      return on_hello(in);
    case Kind::outcome: {
      auto end = decode_outcome(in);
      if (!in.good()) return kill("it talks nonsense");
      return on_outcome(end.task, std::move(end.outcome));
    }
    case Kind::http:
      return on_http(in);
    case Kind::http_cancel: {
      const auto found = requests_.find(static_cast<std::uint64_t>(in.number()));
      if (found != requests_.end()) client_.cancel(found->second);
      return;
    }
    case Kind::log:
      return log::info("plugin", "{}: {}", manifest_->id, in.text().substr(0, kLogLine));
    case Kind::violation: {
      violations_.increment();
      const auto rule = in.text();
      return log::warn("plugin", "{} breaks the rule '{}': {}", manifest_->id, rule, in.text());
    }
    case Kind::denied:
      why_killed_ = fmt::format("it called {}(), which its sandbox does not allow", call_name(in.number()));
      return;
    default:
      return;
  }
}

void Isolated::on_hello(Reader& in) {
  if (state_ != State::starting) return;
  const auto failure = in.text();
  if (!failure.empty()) return kill(fmt::format("it does not start: {}", failure));
  state_ = State::serving;
  log::info("plugin", "{}: its process is at work again", manifest_->id);
  for (auto& [task, work] : work_) {
    if (!work.sent) send_work(task, work);
  }
}

// What Instance has checked in the process is checked again: who knows who talks there.
std::optional<Error> Isolated::fault_of(const Work& work, const Outcome& outcome) const {
  const auto bad = [this](std::string_view what) { return Error{Errc::internal, fmt::format("{} ended with {}", manifest_->id, what)}; };
  const auto is_object = [](std::string_view text) {
    const auto document = JsonDocument::parse(text);
    return document && (*document)->root().type() == JsonType::object;
  };
  const auto& limits = settings_.limits;
  if (outcome.events.size() > limits.events_per_task || outcome.state.value_or("").size() > limits.state_bytes || outcome.output.size() > limits.output_bytes) {
    return bad("more than it may");
  }
  if (outcome.error) return std::nullopt;
  if (work.call.verb == Verb::reaction && !outcome.output.empty() && !is_object(outcome.output)) return bad("an output that is no JSON object");
  if (work.call.watch.is_nil() && !outcome.events.empty()) return bad("events of no watch");
  if (!is_valid_utf8(outcome.state.value_or(""))) return bad("a state that is no text");
  for (const auto& event : outcome.events) {
    if (event.key.empty() || !is_valid_utf8(event.key)) return bad("an event without a key");
    const bool whole_body = work.call.body && work.call.body->root().type() == JsonType::object;
    if (event.is_request_body ? !whole_body : event.data.size() > limits.event_bytes || !is_object(event.data)) return bad("an event that is no JSON object");
  }
  return std::nullopt;
}

void Isolated::on_outcome(std::uint64_t task, Outcome outcome) {
  const auto found = work_.find(task);
  if (found == work_.end()) return;
  crashes_ = 0;
  if (auto fault = fault_of(found->second, outcome)) {
    outcome = {};
    outcome.error = *std::move(fault);
  }
  outcome.state_version = manifest_->state_version;
  finish(task, std::move(outcome));
}

void Isolated::finish(std::uint64_t task, Outcome outcome) {
  auto node = work_.extract(task);
  if (node.empty()) return;
  task_count_ = work_.size();
  auto work = std::move(node.mapped());
  for (const auto handle : work.requests) {
    if (const auto found = requests_.find(handle); found != requests_.end()) client_.cancel(found->second);
  }
  if (work_.empty() && when_idle_) loop_.post(std::exchange(when_idle_, nullptr));
  work.done(std::move(outcome));
}

void Isolated::on_http(Reader& in) {
  auto asked = decode_http(in);
  if (!in.good()) return kill("it talks nonsense");
  auto& request = asked.request;
  request.provider = manifest_->id;
  request.allowed_hosts = settings_.allowed_hosts;
  request.connection = {};
  if (const auto owner = work_.find(asked.account); owner != work_.end()) {
    request.connection = owner->second.call.connection;
    owner->second.requests.insert(asked.handle);
  }
  if (const auto owner = work_.find(asked.secret); owner != work_.end() && !asked.reference.empty()) {
    request.expansions.emplace_back(asked.reference, owner->second.call.callback_secret);
  }
  const auto handle = asked.handle;
  requests_[handle] = client_.send(std::move(request), [this, alive = alive_, handle, process = process_.process](Result<egress::HttpReply> reply) {
    if (!*alive || process != process_.process) return;
    requests_.erase(handle);
    if (channel_) channel_->send(encode(handle, reply, clock_.now()));
  });
}

void Isolated::cancel(TaskId task) {
  const auto found = work_.find(task);
  if (found == work_.end()) return;
  // The plugin is told; the outcome does not wait for it.
  if (found->second.sent && channel_) channel_->send(Writer(Kind::cancel).number(static_cast<std::int64_t>(task)).take());
  Outcome outcome;
  outcome.error = Error{Errc::cancelled, "cancelled by the host"};
  finish(task, std::move(outcome));
}

void Isolated::retire(Task when_idle) {
  when_idle_ = std::move(when_idle);
  if (work_.empty()) loop_.post(std::exchange(when_idle_, nullptr));
}

void Isolated::cancel_all(const Error& reason) {
  while (!work_.empty()) {
    const auto task = work_.begin()->first;
    if (work_.begin()->second.sent && channel_) channel_->send(Writer(Kind::cancel).number(static_cast<std::int64_t>(task)).take());
    Outcome outcome;
    outcome.error = reason;
    finish(task, std::move(outcome));
  }
}

void Isolated::arm_look() {
  if (look_timer_ != 0) return;
  look_timer_ = loop_.after(kLookEvery, [this, alive = alive_] {
    if (!*alive) return;
    look_timer_ = 0;
    look();
  });
}

void Isolated::look() {
  if (work_.empty()) return;
  const auto silent = std::chrono::steady_clock::now() - last_heard_;
  const bool has_work = std::any_of(work_.begin(), work_.end(), [](const auto& entry) { return entry.second.sent; });
  if ((state_ == State::serving && has_work && silent > isolation_.hang_limit) || (state_ == State::starting && silent > isolation_.start_limit)) {
    kill(fmt::format("it gave no sign of life for {} ms", std::chrono::duration_cast<std::chrono::milliseconds>(silent).count()));
  } else if (state_ == State::serving) {
    channel_->send(Writer(Kind::ping).take());
  }
  std::vector<std::uint64_t> late;
  for (const auto& [task, work] : work_) {
    if (clock_.now() > work.call.deadline + kGrace) late.push_back(task);
  }
  for (const auto task : late) {
    Outcome outcome;
    outcome.error = Error{Errc::timeout, manifest_->id + " did not finish in time"};
    finish(task, std::move(outcome));
  }
  if (!work_.empty()) arm_look();
}

void Isolated::kill(std::string why) {
  why_killed_ = std::move(why);
  if (process_.process > 0) ::kill(process_.process, SIGKILL);  // and lost() follows when the socket closes
}

void Isolated::lost() {
  state_ = State::pausing;  // what is begun meanwhile waits
  channel_.reset();
  for (const auto& [handle, request] : std::exchange(requests_, {})) client_.cancel(request);
  reap(0);
}

// A process that has closed its socket is not always to be waited for at once, and the loop does not wait.
void Isolated::reap(int tries) {
  constexpr int kTries = 20;
  int status = 0;
  if (process_.process > 0 && ::waitpid(process_.process, &status, WNOHANG) == process_.process) {
    process_.process = 0;
    return ended(why_killed_.empty() ? signal_text(status) : why_killed_);
  }
  if (process_.process <= 0 || tries == kTries) {
    end_process(process_);  // it lives on without its socket
    return ended(why_killed_.empty() ? "it closed its socket" : why_killed_);
  }
  pause_timer_ = loop_.after(std::chrono::milliseconds{1}, [this, alive = alive_, tries] {
    if (*alive) reap(tries + 1);
  });
}

void Isolated::ended(const std::string& why) {
  ++crashes_;
  const bool gives_up = crashes_ >= isolation_.crashes_until_quarantine;
  log::error("plugin", "{}: its process is gone: {}; {} tasks under way{}", manifest_->id, why, work_.size(),
             gives_up ? "; it is not started again until it is loaded anew" : "");
  state_ = gives_up ? State::quarantined : State::pausing;
  std::vector<std::uint64_t> over;
  for (const auto& [task, work] : work_) {
    if (work.sent || gives_up) over.push_back(task);
    if (work.sent && gives_up) keep_input(work, why);
  }
  if (!gives_up) {
    auto pause = crashes_ == 1 ? std::chrono::milliseconds{0} : isolation_.first_back_off * (1 << std::min(crashes_ - 2, 16));
    pause_timer_ = loop_.after(std::min(pause, isolation_.longest_back_off), [this, alive = alive_] {
      if (!*alive) return;
      pause_timer_ = 0;
      restart();
    });
  }
  const auto message = fmt::format("{}'s process is gone: {}", manifest_->id, why);
  why_killed_.clear();
  for (const auto task : over) {
    Outcome outcome;
    outcome.error = Error{Errc::unavailable, message};
    finish(task, std::move(outcome));
  }
}

// The start of a process takes a millisecond or two, which the loop does not wait.
void Isolated::restart() {
  state_ = State::starting;
  last_heard_ = std::chrono::steady_clock::now();
  restarts_.increment();
  starter_.post([this, alive = alive_, &loop = loop_, isolation = isolation_, copy = copy_, settings = settings_] {
    auto made = std::make_shared<Result<StartedProcess>>(spawn_process(isolation, *copy, settings));
    loop.post([this, alive, made] {
      if (*alive) return restarted(std::move(*made));
      if (*made) end_process(**made);
    });
  });
}

void Isolated::restarted(Result<StartedProcess> started) {
  if (started) return attach(*std::move(started));
  why_killed_ = started.error().message;
  lost();
}

void Isolated::keep_input(const Work& work, const std::string& why) const {
  if (isolation_.quarantine_folder.empty()) return;
  namespace fs = std::filesystem;
  std::error_code error;
  fs::create_directories(isolation_.quarantine_folder, error);
  fs::permissions(isolation_.quarantine_folder, fs::perms::owner_all, error);
  nlohmann::json input{{"provider", manifest_->id}, {"version", manifest_->version}, {"sha256", copy_->sha256()}, {"why", why},
                       {"name", work.call.name}, {"params", work.call.params}, {"key", work.call.key}, {"state", work.call.state}};
  if (work.call.request) input["body"] = work.call.request->body;
  const auto file = fs::path(isolation_.quarantine_folder) / fmt::format("{}-{}.json", manifest_->id, micros(clock_.now()));
  const int opened = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (opened < 0) return log::error("plugin", "{}: what it was given cannot be kept in {}: {}", manifest_->id, file.string(), std::strerror(errno));
  const auto text = input.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  const bool whole = ::write(opened, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(opened);
  if (!whole) return log::error("plugin", "{}: what it was given cannot be kept whole in {}", manifest_->id, file.string());
  log::error("plugin", "{}: what it was given is kept in {}", manifest_->id, file.string());
}

}  // namespace patchbay::plugin::isolation
