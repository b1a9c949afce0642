#include "plugin/instance.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/log.hpp"
#include "plugin/hang_watch.hpp"
#include "plugin/status.hpp"
#include "plugin/text.hpp"

namespace patchbay::plugin {
namespace {

constexpr std::chrono::seconds kDefaultDeadline{30};
constexpr std::chrono::milliseconds kPromptly{50};
constexpr std::size_t kLogLine = 8 << 10;
constexpr std::array<const char*, 6> kVerbs{"watch", "stop", "poll", "webhook", "socket", "reaction"};

bool is_json_object(std::string_view text) {
  const auto document = JsonDocument::parse(text);
  return document && (*document)->root().type() == JsonType::object;
}

}  // namespace

// A task under way, with all that the plugin's pointers point to.
struct Instance::Task {
  std::uint64_t id = 0;
  Call call;
  Done done;
  Outcome outcome;
  bool finished = false;
  std::size_t waits = 0;
  std::optional<Error> cancelled;
  std::uint64_t deadline_timer = 0;
  std::string secret_reference;
  pbay_call raw_call{};
  pbay_request raw_request{};
  std::vector<pbay_header> headers;
};

// Something that the plugin asked for and has not been answered.
struct Instance::Wait {
  TaskPointer task;
  std::uint64_t tag = 0;
  std::uint64_t timer = 0;                 // of sleep()
  egress::HttpClient::Handle request = 0;  // of http()
};

Result<std::unique_ptr<Instance>> Instance::create(Executor& loop, const Clock& clock, egress::HttpClient& client,
                                                   const Module& module, InstanceSettings settings) {
  std::unique_ptr<Instance> instance(new Instance(loop, clock, client, module, std::move(settings)));
  instance->inside_ = true;
  const InsidePlugin inside(instance->number_, "create");
  const auto status =
      module.table->create(&instance->host_.functions, raw(instance->settings_.config_json), &instance->self_);
  instance->inside_ = false;
  instance->scratch_.clear();
  if (status == PBAY_OK) return instance;
  instance->self_ = nullptr;
  return fail(Errc::invalid, fmt::format("create() failed with {}", status_name(status)));
}

Instance::Instance(Executor& loop, const Clock& clock, egress::HttpClient& client, const Module& module,
                   InstanceSettings settings)
    : loop_(loop), clock_(clock), client_(client), module_(module), settings_(std::move(settings)),
      number_(InsidePlugin::number_of(module.manifest->id)), next_id_(settings_.first_id) {
  host_ = {{sizeof(pbay_host), PBAY_ABI, on_log, on_metric, on_emit, on_forward, on_finish, on_http, on_sleep,
            on_connect, on_send, on_extension},
           this};
  const auto& id = module_.manifest->id;
  for (std::size_t verb = 0; verb < counted_.size(); ++verb) {
    for (std::size_t failed = 0; failed < 2; ++failed) {
      counted_[verb][failed] = metrics::counter(
          "patchbay_plugin_tasks_total", "Tasks of plugins that ended",
          {{"provider", id}, {"verb", std::string(kVerbs[verb])}, {"status", failed == 0 ? "ok" : "failed"}});
    }
  }
  violations_ =
      metrics::counter("patchbay_plugin_violations_total", "Rules of the ABI that a plugin broke", {{"provider", id}});
}

Instance::~Instance() {
  cancel_all({Errc::cancelled, "the plugin is shut down"});
  *alive_ = false;
  if (self_ == nullptr) return;
  inside_ = true;
  const InsidePlugin inside(number_, "destroy");
  module_.table->destroy(self_);
}

Instance& Instance::of(const pbay_host* host) {
  // functions is the first member of a standard-layout struct.
  return *reinterpret_cast<const HostTable*>(host)->owner;
}

void Instance::violation(std::string_view rule, std::string_view detail) {
  violations_.increment();
  log::warn("plugin", "{} breaks the rule '{}': {}", module_.manifest->id, rule, detail);
  if (settings_.on_violation) settings_.on_violation(rule, detail);
}

pbay_str Instance::keep(std::string text) {
  scratch_.push_back(std::move(text));
  return raw(scratch_.back());
}

const Secret* Instance::secret_of(std::string_view reference) const {
  if (current_ == nullptr || current_->secret_reference.empty() || current_->secret_reference != reference) {
    return nullptr;
  }
  return &current_->call.callback_secret;
}

std::shared_ptr<const JsonDocument> Instance::parsed(std::string_view text) {
  for (const auto& [known, document] : documents_) {
    if (known.data() == text.data() && known.size() == text.size()) return document;
  }
  auto document = JsonDocument::parse(text);
  if (!document) return nullptr;
  // Only what the host owns stays as it is during the call; a plugin's own buffer may be written again.
  const auto* call = current_ == nullptr ? nullptr : &current_->call;
  const bool ours = call != nullptr && (text.data() == call->params.data() || text.data() == call->state.data() ||
                                        (call->request && text.data() == call->request->body.data()));
  if (ours) documents_.emplace_back(text, *document);
  scratch_documents_.push_back(*document);
  return *document;
}

Instance::TaskId Instance::begin(Call call, Done done) {
  auto task = std::make_shared<Task>();
  task->id = next_id_++;
  task->done = std::move(done);
  if (tasks_.size() >= settings_.limits.tasks) {
    task->outcome.error = Error{Errc::exhausted, module_.manifest->id + " has too many tasks under way"};
    auto refused = std::move(task->done);
    refused(std::move(task->outcome));
    return task->id;
  }
  if (call.deadline == Timestamp{}) call.deadline = clock_.now() + kDefaultDeadline;
  task->call = std::move(call);
  const auto& work = task->call;
  if (!work.callback_secret.empty()) task->secret_reference = "pbay-secret-" + random_token(18);
  auto& out = task->raw_call;
  out.size = sizeof out;
  out.attempt = static_cast<std::uint32_t>(work.attempt);
  out.task = task->id;
  out.watch = work.watch.is_nil() ? 0 : 1;
  out.account = work.connection.is_nil() ? 0 : 1;
  out.now_ms = millis(clock_.now());
  out.deadline_ms = millis(work.deadline);
  out.name = raw(work.name);
  out.params = raw(work.params);
  out.key = raw(work.key);
  out.state = raw(work.state);
  out.base_url = raw(settings_.base_url);
  out.state_version = static_cast<std::uint32_t>(work.state_version);
  out.callback_url = raw(work.callback_url);
  out.callback_secret = raw(task->secret_reference);
  tasks_.emplace(task->id, task);
  task_count_ = tasks_.size();
  enter(task, [this, &task] { call_verb(*task); });
  return task->id;
}

void Instance::call_verb(Task& task) {
  const auto* table = module_.table;
  switch (task.call.verb) {
    case Verb::watch:
      return table->watch(self_, &task.raw_call);
    case Verb::stop:
      return table->stop(self_, &task.raw_call);
    case Verb::poll:
      return table->poll(self_, &task.raw_call);
    case Verb::reaction:
      return table->reaction(self_, &task.raw_call);
    case Verb::socket:
      return;  // sockets come with the WebSocket client; no trigger of that mode is started
    case Verb::webhook:
      break;
  }
  const auto& request = *task.call.request;
  task.headers.reserve(request.headers.size());
  for (const auto& [name, value] : request.headers) task.headers.push_back({raw(name), raw(value)});
  auto& out = task.raw_request;
  out.size = sizeof out;
  using Kind = VerificationScheme::Kind;
  const auto kind = module_.manifest->verification.kind;
  out.verified = kind != Kind::none && kind != Kind::custom ? 1 : 0;
  out.method = raw(request.method);
  out.query = raw(request.query);
  out.body = raw(request.body);
  out.headers = task.headers.data();
  out.header_count = task.headers.size();
  if (task.call.body) documents_.emplace_back(request.body, task.call.body);
  table->webhook(self_, &task.raw_call, &task.raw_request);
}

// Goes into the plugin and looks, once it is back, how the task stands.
template <class Enter>
void Instance::enter(const TaskPointer& task, Enter enter) {
  const auto begin = std::chrono::steady_clock::now();
  inside_ = true;
  current_ = task.get();
  {
    const InsidePlugin inside(number_, kVerbs[static_cast<std::size_t>(task->call.verb)]);
    enter();
  }
  current_ = nullptr;
  inside_ = false;
  scratch_.clear();
  scratch_documents_.clear();
  documents_.clear();
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  if (took >= kPromptly) {
    log::warn("plugin", "{} held up the host for {} ms in {}", module_.manifest->id, took.count(),
              kVerbs[static_cast<std::size_t>(task->call.verb)]);
  }
  after_call(task);
}

void Instance::after_call(const TaskPointer& task) {
  if (!task->finished && task->waits == 0) {
    violation("a task ends or waits",
              fmt::format("{} returned with neither", kVerbs[static_cast<std::size_t>(task->call.verb)]));
    task->finished = true;
    task->outcome = {};
    task->outcome.error = Error{Errc::internal, module_.manifest->id + " neither ended the task nor waits for anything"};
  }
  if (task->finished) return end(task);
  if (task->deadline_timer == 0 && !task->cancelled) arm_deadline(task);
}

// The outcome goes out here, where no plugin code is on the stack: whoever gets it may begin another task.
void Instance::end(const TaskPointer& task) {
  if (tasks_.erase(task->id) == 0) return;
  task_count_ = tasks_.size();
  if (task->deadline_timer != 0) loop_.cancel(task->deadline_timer);
  if (task->cancelled && task->outcome.error) task->outcome.error = *task->cancelled;
  // Waits that it has left behind are answered, too.
  std::vector<std::uint64_t> left;
  if (task->waits > 0) {
    for (const auto& [id, wait] : waits_) {
      if (wait.task == task) left.push_back(id);
    }
  }
  for (const auto id : left) answer(id, PBAY_E_CANCELLED, nullptr);
  task->outcome.state_version = module_.manifest->state_version;
  const auto failed = task->outcome.error ? 1 : 0;
  counted_[static_cast<std::size_t>(task->call.verb)][static_cast<std::size_t>(failed)].increment();
  auto done = std::move(task->done);
  // Before done(): whoever gets the outcome may begin another task, though not here.
  if (tasks_.empty() && when_idle_) loop_.post(std::exchange(when_idle_, nullptr));
  done(std::move(task->outcome));
}

void Instance::retire(patchbay::Task when_idle) {
  when_idle_ = std::move(when_idle);
  if (tasks_.empty()) loop_.post(std::exchange(when_idle_, nullptr));
}

void Instance::cancel_all(const Error& reason) {
  while (!tasks_.empty()) {
    const auto task = tasks_.begin()->second;  // a copy: the table's own goes when the task ends
    cancel_task(task, reason);
  }
}

void Instance::arm_deadline(const TaskPointer& task) {
  const auto left = std::max<Duration>(task->call.deadline - clock_.now(), Duration{0});
  const auto delay = std::chrono::duration_cast<std::chrono::milliseconds>(left) + std::chrono::milliseconds{1};
  task->deadline_timer = loop_.after(delay, [this, alive = alive_, task] {
    if (!*alive || task->finished) return;
    task->deadline_timer = 0;
    cancel_task(task, {Errc::timeout, fmt::format("{} did not finish in time", module_.manifest->id)});
  });
}

void Instance::cancel(TaskId id) {
  if (auto task = find(id)) cancel_task(task, {Errc::cancelled, "cancelled by the host"});
}

void Instance::cancel_task(TaskPointer task, Error reason) {
  task->cancelled = std::move(reason);
  while (!task->finished) {
    const auto wait =
        std::find_if(waits_.begin(), waits_.end(), [&](const auto& entry) { return entry.second.task == task; });
    if (wait == waits_.end()) break;
    answer(wait->first, PBAY_E_CANCELLED, nullptr);
  }
  if (task->finished) return;  // end() has run
  task->finished = true;
  task->outcome = {};
  task->outcome.error = *task->cancelled;
  end(task);
}

// Answers a wait: the plugin goes on. reply nullptr: slept, or cancelled.
void Instance::answer(std::uint64_t id, pbay_status status, Result<egress::HttpReply>* reply) {
  auto node = waits_.extract(id);
  if (node.empty()) return;
  const auto wait = std::move(node.mapped());
  if (status == PBAY_E_CANCELLED && wait.timer != 0) loop_.cancel(wait.timer);
  if (status == PBAY_E_CANCELLED && wait.request != 0) client_.cancel(wait.request);
  const auto task = wait.task;
  if (task->waits > 0) --task->waits;

  pbay_reply out{};
  out.size = sizeof out;
  out.status = status;
  out.task = task->id;
  out.tag = wait.tag;
  out.now_ms = millis(clock_.now());
  std::vector<pbay_header> headers;
  if (reply != nullptr && *reply) {
    const auto& answered = **reply;
    out.http_status = static_cast<std::uint32_t>(answered.status);
    out.body = raw(answered.body);
    headers.reserve(answered.headers.size());
    for (const auto& [name, value] : answered.headers) headers.push_back({raw(name), raw(value)});
    out.headers = headers.data();
    out.header_count = headers.size();
  } else if (reply != nullptr) {
    out.body = raw(reply->error().message);  // for people
  }
  const bool ended = task->finished;
  if (!ended) return enter(task, [&] { module_.table->resume(self_, &out); });
  // Its task is gone; the plugin still gets the answer that it was promised.
  const bool was_inside = std::exchange(inside_, true);
  const InsidePlugin inside(number_, "resume");
  module_.table->resume(self_, &out);
  inside_ = was_inside;
}

Instance::TaskPointer Instance::find(std::uint64_t id) {
  const auto found = tasks_.find(id);
  return found == tasks_.end() ? nullptr : found->second;
}

void Instance::on_log(const pbay_host* host, std::uint64_t, std::uint32_t level, pbay_str text) {
  auto& instance = of(host);
  const auto line = view(text).substr(0, kLogLine);
  if (instance.settings_.on_log) instance.settings_.on_log(line);
  const auto as = level >= PBAY_LOG_ERROR  ? log::Level::error
                  : level == PBAY_LOG_WARN ? log::Level::warn
                  : level == PBAY_LOG_INFO ? log::Level::info
                                           : log::Level::debug;
  if (log::enabled(as)) log::write(as, "plugin", fmt::format("{}: {}", instance.module_.manifest->id, line));
}

void Instance::on_metric(const pbay_host*, pbay_str, double) {}

pbay_status Instance::on_emit(const pbay_host* host, std::uint64_t id, const pbay_event* event) {
  auto& instance = of(host);
  const auto task = instance.find(id);
  if (!task || task->finished || !instance.inside_) {
    instance.violation("host functions are called in a call", "emit() for no task");
    return PBAY_E_CLOSED;
  }
  return instance.accept_event(*task, *event);
}

pbay_status Instance::accept_event(Task& task, const pbay_event& event) {
  if (task.call.watch.is_nil()) {
    violation("events belong to a watch", "emit() in a reaction");
    return PBAY_E_ARG;
  }
  if (event.key.len == 0 || !is_valid_utf8(view(event.key))) {
    violation("an event has a key", "emit() without one");
    return PBAY_E_ARG;
  }
  if (task.outcome.events.size() >= settings_.limits.events_per_task || event.data.len > settings_.limits.event_bytes) {
    return PBAY_E_LIMIT;
  }
  EmittedEvent emitted;
  emitted.key = view(event.key);
  emitted.occurred = event.time_ms == 0 ? clock_.now() : from_millis(event.time_ms);
  emitted.is_request_body = event.data.ptr == nullptr;
  if (emitted.is_request_body) {
    // A body that is no JSON object cannot be an event, whatever its sender says it is.
    const auto& call = task.call;
    if (!call.object_body && (!call.body || call.body->root().type() != JsonType::object)) return PBAY_E_ARG;
  } else {
    if (!is_json_object(view(event.data))) {
      violation("an event is a JSON object", fmt::format("event {}", emitted.key));
      return PBAY_E_ARG;
    }
    emitted.data = view(event.data);
  }
  task.outcome.events.push_back(std::move(emitted));
  return PBAY_OK;
}

pbay_status Instance::on_forward(const pbay_host*, std::uint64_t, pbay_str) { return PBAY_E_UNSUPPORTED; }
pbay_status Instance::on_connect(const pbay_host*, std::uint64_t, const pbay_http*) { return PBAY_E_UNSUPPORTED; }
pbay_status Instance::on_send(const pbay_host*, std::uint64_t, const pbay_frame*) { return PBAY_E_UNSUPPORTED; }

pbay_status Instance::on_finish(const pbay_host* host, std::uint64_t id, const pbay_result* result) {
  auto& instance = of(host);
  const auto task = instance.find(id);
  if (!task || task->finished || !instance.inside_) {
    instance.violation("a task ends once", "finish() for no task");
    return PBAY_E_CLOSED;
  }
  task->finished = true;
  const auto refused = instance.accept_result(*task, *result);
  if (refused == PBAY_OK) return PBAY_OK;
  task->outcome = {};
  task->outcome.error = error_of(
      refused, fmt::format("{} ended the task with a result that is not acceptable", instance.module_.manifest->id));
  return refused;
}

pbay_status Instance::accept_result(Task& task, const pbay_result& result) {
  auto& outcome = task.outcome;
  if (result.next_ms > 0) outcome.next = std::chrono::milliseconds{result.next_ms};
  if (result.status != PBAY_OK) {
    outcome.events.clear();
    outcome.gone = result.status == PBAY_E_GONE;
    outcome.status = result.status;
    const auto message = view(result.message).substr(0, 1000);
    outcome.error = error_of(result.status, message.empty() ? fmt::format("{} failed with {}", module_.manifest->id,
                                                                          status_name(result.status))
                                                            : std::string(message));
    return PBAY_OK;
  }
  if (result.output.len > settings_.limits.output_bytes || result.state.len > settings_.limits.state_bytes) {
    violation("results keep to the limits", "finish() with too large a state or output");
    return PBAY_E_LIMIT;
  }
  const bool reaction = task.call.verb == Verb::reaction;
  if (reaction && result.output.len > 0 && !is_json_object(view(result.output))) {
    violation("an output is a JSON object", fmt::format("reaction {}", task.call.name));
    return PBAY_E_ARG;
  }
  if (result.state.ptr != nullptr && !is_valid_utf8(view(result.state))) return PBAY_E_ARG;
  outcome.output = view(result.output);
  outcome.content_type = view(result.content_type);
  outcome.http_status = static_cast<int>(result.http_status);
  if (result.state.ptr != nullptr) outcome.state = std::string(view(result.state));
  return PBAY_OK;
}

pbay_status Instance::on_http(const pbay_host* host, std::uint64_t id, std::uint64_t tag, const pbay_http* request) {
  auto& instance = of(host);
  const auto task = instance.find(id);
  if (!task || task->finished || !instance.inside_) {
    instance.violation("host functions are called in a call", "http() for no task");
    return PBAY_E_CLOSED;
  }
  return instance.start_http(task, tag, *request);
}

pbay_status Instance::start_http(const TaskPointer& task, std::uint64_t tag, const pbay_http& request) {
  if (task->cancelled) return PBAY_E_CANCELLED;
  if (task->waits >= settings_.limits.waits_per_task) return PBAY_E_LIMIT;
  egress::HttpRequest out;
  out.method = view(request.method);
  out.url = view(request.url);
  out.body = view(request.body);
  const auto& defaults = module_.manifest->default_headers;
  out.headers.reserve(request.header_count + defaults.size());
  for (std::size_t i = 0; i < request.header_count; ++i) {
    out.headers.emplace_back(view(request.headers[i].name), view(request.headers[i].value));
  }
  for (const auto& [name, value] : defaults) {
    const bool given = std::any_of(out.headers.begin(), out.headers.end(), [&](const auto& header) {
      return header.first.size() == name.size() && std::equal(name.begin(), name.end(), header.first.begin(),
                                                              [](char a, char b) { return (a | 0x20) == (b | 0x20); });
    });
    if (!given) out.headers.emplace_back(name, value);
  }
  out.provider = module_.manifest->id;
  if (request.account != 0) out.connection = task->call.connection;
  out.auth = view(request.auth);
  out.allowed_hosts = settings_.allowed_hosts;
  if ((request.flags & PBAY_EXPAND) != 0 && !task->secret_reference.empty()) {
    out.expansions.emplace_back(task->secret_reference, task->call.callback_secret);
  }
  out.repeatable = (request.flags & PBAY_REPEAT) != 0;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(task->call.deadline - clock_.now());
  out.timeout = std::clamp(left, std::chrono::milliseconds{1}, std::chrono::milliseconds{30'000});

  const auto id = next_id_++;
  auto& wait = waits_[id];
  wait.task = task;
  wait.tag = tag;
  ++task->waits;
  wait.request = client_.send(std::move(out), [this, alive = alive_, id](Result<egress::HttpReply> reply) {
    if (!*alive) return;
    answer(id, reply ? PBAY_OK : status_of(reply.error().code), &reply);
  });
  return PBAY_OK;
}

pbay_status Instance::on_sleep(const pbay_host* host, std::uint64_t id, std::uint64_t tag, std::int64_t ms) {
  auto& instance = of(host);
  const auto task = instance.find(id);
  if (!task || task->finished || !instance.inside_) {
    instance.violation("host functions are called in a call", "sleep() for no task");
    return PBAY_E_CLOSED;
  }
  if (task->cancelled) return PBAY_E_CANCELLED;
  if (task->waits >= instance.settings_.limits.waits_per_task) return PBAY_E_LIMIT;
  const auto number = instance.next_id_++;
  auto& wait = instance.waits_[number];
  wait.task = task;
  wait.tag = tag;
  ++task->waits;
  const auto pause = std::chrono::milliseconds{std::clamp<std::int64_t>(ms, 0, 86'400'000)};
  wait.timer = instance.loop_.after(pause, [self = &instance, alive = instance.alive_, number] {
    if (*alive) self->answer(number, PBAY_OK, nullptr);
  });
  return PBAY_OK;
}

const void* Instance::on_extension(const pbay_host*, pbay_str id) { return extension_table(view(id)); }

}  // namespace patchbay::plugin
